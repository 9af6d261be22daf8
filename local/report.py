"""What the embedded servers say to people: progress, one line at a time, and what stops them."""

import sys
import time
from collections.abc import Callable

Report = Callable[[str], None]


class LocalError(Exception):
    """A sentence that says what stands in the way and what to do; for the command line to print."""


def reporter() -> Report:
    """Lines on standard error, with the seconds since now."""
    started = time.monotonic()

    def report(words: str) -> None:
        print(f"{time.monotonic() - started:6.1f} s  {words}", file=sys.stderr, flush=True)  # noqa: T201

    return report
