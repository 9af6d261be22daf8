"""Waiting for a limited time, at the price of one timer for all who wait.

`asyncio.timeout` makes and cancels a timer for each: for the two waits of a write, as much work as reading its body.
"""

import asyncio
from typing import Any, TypeVar

T = TypeVar("T")


class Patience:
    """Waits for futures that nobody else waits for, each for at most `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deadlines: dict[asyncio.Future[Any], float] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def wait(self, future: "asyncio.Future[T]") -> T:
        """Give what the future gives. Raises TimeoutError when time is up; then the future is done, with that."""
        loop = asyncio.get_running_loop()
        self._deadlines[future] = loop.time() + self._seconds
        if self._timer is None:
            self._timer = loop.call_later(self._seconds, self._look, loop)
        try:
            return await future
        finally:
            del self._deadlines[future]

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give up who has waited long enough, and come again for the next. The oldest come first."""
        self._timer = None
        for future, deadline in self._deadlines.items():
            if deadline > loop.time():
                self._timer = loop.call_at(deadline, self._look, loop)
                break
            if not future.done():
                future.set_exception(TimeoutError("time is up"))
