"""Waiting a moment for company: few large groups cost less than many small ones (docs/decisions/0007-company.md)."""

import asyncio
import contextlib
from typing import Final

MANY: Final = 4
"""Fewer than these never wait: where callers are few, a group that came together by chance would make the next ones
wait for nobody."""
ENOUGH: Final = 32
"""Nobody waits for more: larger groups hardly cost less, and two of them keep two processes at work."""


class Company:
    """For whoever takes what has come, group after group: waits for as many as came with the larger of two.

    Few callers never wait for others; many wait for each other, `seconds` at most. The larger of two, because waves of
    different sizes come by turns: then the smaller one waits, until both come as one.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._sizes = (0, 0)
        self._enough = asyncio.Event()

    def came(self, waiting: int) -> None:
        """To be told whenever `waiting` has grown."""
        if waiting >= self._wanted:
            self._enough.set()

    def left(self, size: int) -> None:
        """To be told how many were taken."""
        self._sizes = (self._sizes[1], size)

    @property
    def _wanted(self) -> int:
        larger = max(self._sizes)
        return min(larger, ENOUGH) if larger >= MANY else 0

    async def gathered(self, waiting: int) -> None:
        if waiting < self._wanted and self._seconds:
            self._enough.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    await self._enough.wait()

    def stop_waiting(self) -> None:
        """For good: whoever is asked to stop takes what is there."""
        self._seconds = 0.0
        self._enough.set()
