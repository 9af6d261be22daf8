"""Natural batches: what has come while one batch is applied is the next one. One caller never waits for others; many
callers wait a moment for each other.

What can go wrong with a batch, and what is done about it, is decision 14.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final

from processor import measures
from processor.apply import ForeignRecordError, GapError, UnreadableRecordError
from processor.batch import Batch, Record
from schemas.records import NewerSchemaError
from service.company import Company
from service.failures import is_postgres_passing
from service.health import Health
from service.logs import logger

BATCH_MAX_RECORDS: Final = 500
PENDING_MAX_RECORDS: Final = 2000
"""When so many are pending no fetch is taken; the last one may go beyond it by what it brought, 1,000 at most."""
GATHER_SECONDS: Final = 0.008
RETRY_FIRST_SECONDS: Final = 0.1
RETRY_MAX_SECONDS: Final = 5.0

_log = logger("processor")


@dataclass(frozen=True)
class Halt:
    """Why a partition stands still. Nothing of it is skipped; a restart tries again."""

    offset: int
    error: str
    remedy: str


class Pump:
    """Takes records in, applies them in batches, for ever.

    `apply` applies a batch in one transaction, and is told what will follow it where that is certain; `rewind` puts a
    partition's position back to its watermark.
    """

    def __init__(
        self,
        topic: str,
        apply: Callable[[list[Record], list[Record]], Awaitable[Batch]],
        rewind: Callable[[int], Awaitable[None]],
        health: Health,
    ) -> None:
        self._topic = topic
        self._apply = apply
        self._rewind = rewind
        self._health = health
        self._pending: list[Record] = []
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._company = Company(GATHER_SECONDS)
        self._stopping = False
        self._rewound: dict[int, int] = {}
        self.halts: dict[int, Halt] = {}

    def has_room(self) -> bool:
        """Whether `offer` would not wait."""
        return len(self._pending) < PENDING_MAX_RECORDS

    async def room(self) -> None:
        """Wait until `offer` would not."""
        await self._room.wait()

    async def offer(self, records: Iterable[Record]) -> None:
        """Hand over what a fetch brought of a partition; waits while there is no room for more."""
        self._pending.extend(records)
        self._wake.set()
        self._company.came(len(self._pending))
        if len(self._pending) >= PENDING_MAX_RECORDS:
            self._room.clear()
            await self.room()

    def forget(self, partitions: Collection[int]) -> None:
        """Drop what is pending of partitions that are no longer ours, or whose records will come again."""
        self._pending = [record for record in self._pending if record.partition not in partitions]
        self._room.set()
        for partition in partitions:
            self._rewound.pop(partition, None)
            if self.halts.pop(partition, None):
                self._health.well(f"partition {partition}")
                measures.HALTED.labels(partition=partition).set(0)

    def stop(self) -> None:
        """Let `run` return after the batch in hand."""
        self._stopping = True
        self._wake.set()
        self._company.stop_waiting()

    async def run(self) -> None:
        """Apply batches until stopped. Raises what `rewind` raises: then the process must not go on."""
        while True:
            await self._wake.wait()
            await self._company.gathered(len(self._pending))
            if self._stopping:
                return
            batch, self._pending = self._pending[:BATCH_MAX_RECORDS], self._pending[BATCH_MAX_RECORDS:]
            if not self._pending:
                self._wake.clear()
            if len(self._pending) < PENDING_MAX_RECORDS:
                self._room.set()
            self._company.left(len(batch))
            await self._settle(batch)

    async def _settle(self, records: list[Record]) -> None:
        """Apply, or find out which record can not be applied and halt its partition; the others go on."""
        records = self._running(records)
        while records:
            try:
                await self._apply_when_possible(records)
            except GapError as gap:
                await self._close_gap(gap, records)
                records = [record for record in records if record.partition != gap.partition]
            except Exception as error:  # noqa: BLE001 - whatever it is, it must not be skipped
                if len(records) == 1:
                    self._halt(records[0], error)
                    return
                for record in records:
                    await self._settle([record])
                return
            else:
                return

    def _running(self, records: Iterable[Record]) -> list[Record]:
        return [record for record in records if record.partition not in self.halts]

    async def _apply_when_possible(self, records: list[Record]) -> None:
        """Try the same batch for as long as Postgres is away or busy."""
        delay = RETRY_FIRST_SECONDS
        while True:
            try:
                await self._apply(records, self._following(records))
            except Exception as error:
                if not is_postgres_passing(error):
                    raise
                self._health.problem("postgres", f"the batch waits for Postgres: {type(error).__name__}")
                _log.warning("batch_waits", error=str(error).strip(), retry_seconds=delay, records=len(records))
                measures.RETRIES.inc()
                await asyncio.sleep(delay)
                delay = min(delay * 2, RETRY_MAX_SECONDS)
            else:
                self._health.well("postgres")
                return

    def _following(self, records: list[Record]) -> list[Record]:
        """The batch after a whole one, when that is a whole one too: less would be joined by what is to come."""
        whole = len(records) == BATCH_MAX_RECORDS and len(self._pending) >= BATCH_MAX_RECORDS
        return self._pending[:BATCH_MAX_RECORDS] if whole else []

    async def _close_gap(self, gap: GapError, records: list[Record]) -> None:
        """Read the partition again from its watermark, once; if the gap is still there, halt."""
        _log.warning("gap", topic=self._topic, partition=gap.partition, next_offset=gap.next_offset, error=str(gap))
        if self._rewound.get(gap.partition) == gap.next_offset:
            self._halt(next(record for record in records if record.partition == gap.partition), gap)
            return
        self._pending = [record for record in self._pending if record.partition != gap.partition]
        await self._rewind(gap.partition)
        self._rewound[gap.partition] = gap.next_offset

    def _halt(self, record: Record, error: Exception) -> None:
        halt = Halt(record.offset, f"{type(error).__name__}: {error}", _remedy(error))
        self.halts[record.partition] = halt
        measures.HALTED.labels(partition=record.partition).set(1)
        self._health.problem(
            f"partition {record.partition}",
            f"{self._topic}/{record.partition} halted at offset {halt.offset}: {halt.error}. {halt.remedy}",
        )
        _log.error(
            "partition_halted",
            topic=self._topic,
            partition=record.partition,
            offset=halt.offset,
            error=halt.error,
            remedy=halt.remedy,
        )


def _remedy(error: Exception) -> str:
    if isinstance(error, NewerSchemaError):
        return "Start the version of this project that wrote the record; it goes on from here"
    if isinstance(error, UnreadableRecordError):
        return (
            "A foreign client wrote it, and nothing was skipped: keep others from writing to this topic; where the "
            "error names a codec, install it (aiokafka's extras snappy, lz4, zstd); then restart this processor"
        )
    if isinstance(error, ForeignRecordError):
        return "The topic was created again or shortened: restore it, or point the database at the log it belongs to"
    if isinstance(error, GapError):
        return "Records are missing from the topic: look for deleted records or a topic that was created again"
    return "Nothing was skipped: mend the cause that the error names, then restart this processor"
