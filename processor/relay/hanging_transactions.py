"""Detects hanging transactions: open records whose producer is gone (record 0014)."""

import time
from collections.abc import Collection
from typing import Final

from aiokafka import TopicPartition

from service.errors import UnavailableError
from service.kafka import reader
from service.settings import ServiceSettings

LOOK_SECONDS: Final = 30.0


class HangingTransactions:
    """Checks every half minute. A transaction that is open at the same offset in two checks hangs: none of the relay's
    takes that long.
    """

    def __init__(self, settings: ServiceSettings, topic: str, partitions: Collection[int]) -> None:
        self._settings = settings
        self._where = [TopicPartition(topic, n) for n in partitions]
        self._next_look = time.monotonic() + LOOK_SECONDS
        self._open: set[tuple[TopicPartition, int]] = set()

    async def look(self) -> None:
        """Raises UnavailableError if a hanging transaction holds up read-committed consumers."""
        if time.monotonic() < self._next_look:
            return
        async with reader(self._settings) as committed, reader(self._settings, "read_uncommitted") as written:
            stable, ends = await committed.end_offsets(self._where), await written.end_offsets(self._where)
        found = {(each, stable[each]) for each in self._where if stable[each] < ends[each]}
        for each, offset in found & self._open:
            raise UnavailableError(
                f"{each.topic}/{each.partition} shows consumers nothing from offset {offset} on: a transaction was "
                "left open there. If this comes again, another producer than ours left it, and "
                "`kafka-transactions.sh find-hanging` names it"
            )
        self._open = found
        self._next_look = time.monotonic() + LOOK_SECONDS
