"""Partitions halted because a record cannot be applied: why, and when each is retried (decision 14)."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from processor import metrics
from processor.apply import ForeignRecordError, GapError
from processor.committed import ContradictionError
from processor.domain.batch import Record
from schemas.records import NewerSchemaError
from service.health import Health
from service.logs import logger

RETRY_FIRST_SECONDS: Final = 5.0
RETRY_MAX_SECONDS: Final = 300.0

_log = logger("processor")


@dataclass(frozen=True)
class Halt:
    """Why a partition is halted. No record is skipped; the partition is retried after `retry_seconds`."""

    offset: int
    error: str
    remedy: str
    retry_seconds: float


class Halts:
    """Calls `due` when a partition is to be retried. The reason stays in /readyz until the record is applied."""

    def __init__(self, topic: str, health: Health, due: Callable[[int], None]) -> None:
        self._topic = topic
        self._health = health
        self._due = due
        self._halts: dict[int, Halt] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}

    def __contains__(self, partition: int) -> bool:
        """Whether a partition is halted at present; false while it is being retried."""
        return partition in self._timers

    def __iter__(self) -> Iterator[int]:
        return iter(self._halts)

    def add(self, record: Record, error: Exception) -> None:
        partition = record.partition
        earlier = self._halts.get(partition)
        seconds = min(earlier.retry_seconds * 2, RETRY_MAX_SECONDS) if earlier else RETRY_FIRST_SECONDS
        halt = Halt(record.offset, f"{type(error).__name__}: {str(error).strip()}", _remedy(error), seconds)
        self._halts[partition] = halt
        self._timers[partition] = asyncio.get_running_loop().call_later(seconds, self._try_again, partition)
        metrics.HALTED.labels(partition=partition).set(1)
        self._health.problem(
            _part(partition),
            f"{self._topic}/{partition} halted at offset {halt.offset}: {halt.error}. {halt.remedy}. "
            f"It is tried again every {seconds:.0f} s",
        )
        _log.error(
            "partition_halted",
            topic=self._topic,
            partition=partition,
            offset=halt.offset,
            error=halt.error,
            remedy=halt.remedy,
            retry_seconds=seconds,
        )

    def _try_again(self, partition: int) -> None:
        del self._timers[partition]
        _log.info("partition_retried", topic=self._topic, partition=partition)
        self._due(partition)

    def remove(self, partition: int) -> None:
        """The record was applied, or the partition was revoked."""
        if timer := self._timers.pop(partition, None):
            timer.cancel()
        if self._halts.pop(partition, None):
            self._health.well(_part(partition))
            metrics.HALTED.labels(partition=partition).set(0)
            _log.info("partition_resumed", topic=self._topic, partition=partition)


def _part(partition: int) -> str:
    return f"partition {partition}"


def _remedy(error: Exception) -> str:
    if isinstance(error, NewerSchemaError):
        return "Start the version of this project that wrote the record; it goes on from here"
    if isinstance(error, ForeignRecordError):
        return "The topic was created again or shortened: restore it, or point the database at the log it belongs to"
    if isinstance(error, ContradictionError):
        return (
            "It is right again once other partitions have what they lost. If it stays halted, restart the processors "
            "to have it decided anew, and tell the caller"
        )
    if isinstance(error, GapError):
        return "Records are missing from the topic: look for deleted records or a topic that was created again"
    return "Nothing was skipped: mend the cause that the error names"
