"""Waiting a moment for company: few large groups cost less than many small ones (docs/decisions/0007-company.md)."""

import asyncio
import contextlib


class Company:
    """For whoever takes what has come, group after group: waits until as many have come as last time.

    One caller alone never waits for others; many wait for each other, `seconds` at most.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last = 0
        self._enough = asyncio.Event()

    def came(self, waiting: int) -> None:
        """To be told whenever `waiting` has grown."""
        if waiting >= self._last:
            self._enough.set()

    def left(self, size: int) -> None:
        """To be told how many were taken."""
        self._last = size

    async def gathered(self, waiting: int) -> None:
        if waiting < self._last and self._seconds:
            self._enough.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    await self._enough.wait()

    def stop_waiting(self) -> None:
        """For good: whoever is asked to stop takes what is there."""
        self._seconds = 0.0
        self._enough.set()
