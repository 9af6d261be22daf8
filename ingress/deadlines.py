"""Waiting for a future until a deadline, at the price of one timer for all who wait.

`asyncio.timeout` makes and cancels a timer for each: for the waits of a write, as much work as reading its body.
"""

import asyncio
from typing import Any, TypeVar

T = TypeVar("T")


class Deadlines:
    """Waits for futures that nobody else waits for. A deadline is a time of the event loop's clock, in seconds."""

    def __init__(self) -> None:
        self._deadlines: dict[asyncio.Future[Any], float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._fires_at = 0.0

    async def wait(self, future: "asyncio.Future[T]", deadline: float) -> T:
        """Give what the future gives. Raises TimeoutError at the deadline; then the future is done, with that."""
        self._deadlines[future] = deadline
        if self._timer is None or deadline < self._fires_at:
            self._fire_at(deadline)
        try:
            return await future
        finally:
            del self._deadlines[future]

    def _fire_at(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._fires_at = deadline
        self._timer = asyncio.get_running_loop().call_at(deadline, self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        for future, deadline in self._deadlines.items():
            if deadline <= now and not future.done():
                future.set_exception(TimeoutError("time is up"))
        later = [deadline for deadline in self._deadlines.values() if deadline > now]
        if later:
            self._fire_at(min(later))
