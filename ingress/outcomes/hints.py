"""When to look whether a record was applied: a waiting request is woken by a notification or by a poll.

Both are only hints. A notification may be lost, late, or of a commit that a failover has lost since; only what
`ingress/outcomes/outcomes.py` then reads counts.
"""

import asyncio
import heapq
from collections.abc import Mapping
from itertools import count


class Hints:
    """The requests waiting by position, and the next offset announced for each partition."""

    def __init__(self) -> None:
        self._said: dict[int, int] = {}
        self._waiting: dict[int, list[tuple[int, int, asyncio.Future[None]]]] = {}
        self._order = count()
        self.wanted = asyncio.Event()
        """Set when somebody waits, for the poll."""

    def first(self, partition: int, offset: int) -> "asyncio.Future[None]":
        """Done when the record at `offset` is announced as applied; at once if it already was."""
        if self.said(partition) <= offset:
            return self.next(partition, offset)
        hint: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        hint.set_result(None)
        return hint

    def next(self, partition: int, offset: int) -> "asyncio.Future[None]":
        """Done at the next announcement that passes `offset`."""
        hint: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting.setdefault(partition, []), (offset, next(self._order), hint))
        self.wanted.set()
        return hint

    def give(self, next_offsets: Mapping[int, int]) -> None:
        """Announce how far the partitions are; wakes those who wait."""
        for partition, next_offset in next_offsets.items():
            self._said[partition] = max(next_offset, self._said.get(partition, 0))
            waiting = self._waiting.get(partition, [])
            while waiting and waiting[0][0] < next_offset:
                hint = heapq.heappop(waiting)[2]
                if not hint.done():
                    hint.set_result(None)

    def said(self, partition: int) -> int:
        """The highest `next_offset` announced since the tables were read last."""
        return self._said.get(partition, 0)

    def correct(self, next_offsets: Mapping[int, int]) -> None:
        """Replace all announcements by what the tables say, which may be less."""
        self._said.clear()
        self.give(next_offsets)

    def are_awaited(self) -> bool:
        for waiting in self._waiting.values():
            while waiting and waiting[0][2].done():
                heapq.heappop(waiting)
        return any(self._waiting.values())
