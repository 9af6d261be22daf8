"""Adaptive linger: few large groups cost less than many small ones (docs/decisions/0007-adaptive-linger.md)."""

import asyncio
import contextlib
from typing import Final

GROUP_MIN: Final = 4
"""Smaller groups never linger: with few callers, a group formed by chance would make the next ones wait in vain."""
GROUP_MAX: Final = 32
"""The largest target: larger groups hardly cost less, and two groups keep two processes busy."""


class AdaptiveLinger:
    """Waits up to `seconds` for a group as large as the larger of the last two.

    The larger, because groups of different sizes alternate: the smaller one then waits, and both merge.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._sizes = (0, 0)
        self._enough = asyncio.Event()

    def arrived(self, waiting: int) -> None:
        """To be called whenever `waiting` items, more than before, wait to be taken."""
        if waiting >= self._wanted:
            self._enough.set()

    def took(self, size: int) -> None:
        """To be called with the size of each group that is taken."""
        self._sizes = (self._sizes[1], size)

    @property
    def _wanted(self) -> int:
        larger = max(self._sizes)
        return min(larger, GROUP_MAX) if larger >= GROUP_MIN else 0

    async def wait(self, waiting: int) -> None:
        """Linger, unless the `waiting` items are enough already."""
        if waiting < self._wanted and self._seconds:
            self._enough.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    await self._enough.wait()

    def stop(self) -> None:
        """Never linger again: a stopping process takes what is there."""
        self._seconds = 0.0
        self._enough.set()
