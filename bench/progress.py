"""How far a long measurement is: a bar on a terminal, a line every few seconds elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import click

from local.report import reporter

SAY_EVERY_SECONDS: Final = 5.0


@contextmanager
def progress(steps: int, label: str) -> Iterator[Callable[[str], None]]:
    """Gives what is to be called after each step, with what came of it."""
    if sys.stderr.isatty():
        with click.progressbar(
            length=steps, label=label, file=sys.stderr, item_show_func=lambda words: words or ""
        ) as bar:
            yield lambda words: bar.update(1, words)
        return
    report, said, number = reporter(), 0.0, 0

    def step(words: str) -> None:
        nonlocal said, number
        number += 1
        if time.monotonic() - said > SAY_EVERY_SECONDS or number == steps:
            said = time.monotonic()
            report(f"{label}, {number} of {steps}: {words}")

    yield step
