"""When the next record is due: at the pace of the capture, faster or slower, so many a second, or at once. Pure."""

from collections.abc import Callable
from typing import Final

Due = Callable[[int, int], float]
"""From a record's number, counted from 0, and its timestamp in milliseconds: seconds after the start."""

MS: Final = 1000


def as_captured(first_ms: int, speed: float = 1.0) -> Due:
    """The time between two records is what it was, divided by `speed`. Time never goes back, timestamps may."""
    latest = first_ms

    def due(_number: int, timestamp_ms: int) -> float:
        nonlocal latest
        latest = max(latest, timestamp_ms)
        return (latest - first_ms) / MS / speed

    return due


def steady(records_per_second: float) -> Due:
    return lambda number, _timestamp_ms: number / records_per_second


def at_once() -> Due:
    return lambda _number, _timestamp_ms: 0.0
