"""How far a piece of work is: a bar where a person reads along, else a line every few seconds. On standard error."""

import sys
import time
from contextlib import AbstractContextManager
from typing import Any, Final, Self

import click

LINE_SECONDS: Final = 5.0


class Bar:
    """Used as a context manager, so that the last bar ends its line."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._what = ""
        self._total = self._done = 0
        self._spoke = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def phase(self, what: str, total: int) -> None:
        """Another piece of work begins, of so many steps."""
        self._end()
        self._what, self._total, self._done, self._spoke = what, total, 0, time.monotonic()
        if sys.stderr.isatty():
            bar: AbstractContextManager[Any] = click.progressbar(length=total, label=what, file=sys.stderr)
            self._bar = bar.__enter__()

    def advance(self, steps: int) -> None:
        self._done += steps
        if self._bar is not None:
            self._bar.update(steps)
        elif time.monotonic() - self._spoke > LINE_SECONDS:
            self._spoke = time.monotonic()
            click.echo(f"{self._what}: {self._done:,} of {self._total:,}", err=True)

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None
