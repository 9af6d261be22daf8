"""How far something is that lasts: a bar on a terminal, else a line every few seconds, on standard error."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import click

LINE_SECONDS: Final = 5.0


@contextmanager
def progress(what: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Returns a function that is told how many more are done."""
    if sys.stderr.isatty():
        with click.progressbar(length=total, label=what, file=sys.stderr, show_pos=True) as bar:
            yield bar.update
    else:
        yield _Lines(what, total, unit).update


class _Lines:
    def __init__(self, what: str, total: int, unit: str) -> None:
        self._what = what
        self._total = total
        self._unit = unit
        self._done = 0
        self._started = self._said = time.monotonic()

    def update(self, more: int) -> None:
        self._done += more
        now = time.monotonic()
        if now - self._said >= LINE_SECONDS:
            self._said = now
            rate = self._done / (now - self._started)
            click.echo(f"{self._what}: {self._done} of {self._total} {self._unit}, {rate:.0f}/s", err=True)
