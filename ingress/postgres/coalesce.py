"""Coalescing of concurrent calls: items that arrive during one call go into the next."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from service.linger import AdaptiveLinger

K = TypeVar("K")
R = TypeVar("R")


class Coalesced(Generic[K, R]):
    """`work` takes the waiting items, at most `limit`, and returns one result for each, in order.

    If `work` raises, every item of the group gets the error. `linger_seconds`: how long a group may wait to grow.
    """

    def __init__(
        self, work: Callable[[Sequence[K]], Awaitable[Sequence[R]]], limit: int, linger_seconds: float = 0.0
    ) -> None:
        self._work = work
        self._limit = limit
        self._waiting: list[tuple[K, asyncio.Future[R]]] = []
        self._runner: asyncio.Task[None] | None = None
        self._linger = AdaptiveLinger(linger_seconds)

    async def __call__(self, item: K) -> R:
        """The item's result. A waiting caller may be cancelled; its group is processed all the same."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._linger.arrived(len(self._waiting))
        if self._runner is None:
            self._runner = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        while self._waiting:
            await self._linger.wait(len(self._waiting))
            group, self._waiting = self._waiting[: self._limit], self._waiting[self._limit :]
            self._linger.took(len(group))
            try:
                results = await self._work([item for item, _ in group])
            except Exception as error:  # noqa: BLE001 - it belongs to those who wait
                for _, future in group:
                    if not future.done():
                        future.set_exception(error)
            else:
                for (_, future), result in zip(group, results, strict=True):
                    if not future.done():
                        future.set_result(result)
        self._runner = None
