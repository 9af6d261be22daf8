"""Batches of records: those that arrive while one batch is applied form the next one. A single caller never waits for
more; with many callers a batch lingers for a few milliseconds (record 0007).

Decision 14 says what can go wrong with a batch and how it is handled.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from itertools import groupby
from typing import Final

from processor import metrics
from processor.apply import GapError
from processor.domain.batch import Batch, Record
from processor.kafka.halts import Halts
from processor.plug.plug import PolicyWaitsError
from service.failures import is_passing
from service.health import Health
from service.linger import AdaptiveLinger
from service.logs import logger

BATCH_MAX_RECORDS: Final = 500
BATCH_MAX_BYTES: Final = 16 * 1024 * 1024
PENDING_MAX_RECORDS: Final = 2000
"""No fetch is taken beyond this; the last one taken may exceed it by its own size, 1,000 records at most."""
PENDING_MAX_BYTES: Final = 64 * 1024 * 1024
LINGER_SECONDS: Final = 0.008
RETRY_FIRST_SECONDS: Final = 0.1
RETRY_MAX_SECONDS: Final = 1.0
TRIES: Final = 2
"""For a batch that failed with a lasting error: the second try is on a new connection."""

_log = logger("processor")


class Batcher:
    """Collects records and applies them in batches, until stopped.

    `apply` applies a batch in one transaction; its second argument is the batch after it, if that is already complete.
    `rewind` moves a partition's position back to its watermark.
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
        self._pending_bytes = 0
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._linger = AdaptiveLinger(LINGER_SECONDS)
        self._stopping = False
        self.waits_for_policy = False
        self._rewound: dict[int, int] = {}
        self._due: set[int] = set()
        self.halts = Halts(topic, health, self.read_again)

    def has_room(self) -> bool:
        """Whether `offer` would not wait."""
        return len(self._pending) < PENDING_MAX_RECORDS and self._pending_bytes < PENDING_MAX_BYTES

    async def room(self) -> None:
        """Wait until `offer` would not."""
        await self._room.wait()

    async def offer(self, records: Iterable[Record]) -> None:
        """Add the records of one fetch; returns once there is room for more."""
        new = list(records)
        self._pending.extend(new)
        self._count(sum(map(_size, new)))
        self._wake.set()
        self._linger.arrived(len(self._pending))
        await self.room()

    def forget(self, partitions: Collection[int]) -> None:
        """Drop the records and halts of partitions that were revoked, or assigned again."""
        self._drop(partitions)
        for partition in partitions:
            self._rewound.pop(partition, None)
            self._due.discard(partition)
            self.halts.remove(partition)

    def _drop(self, partitions: Collection[int]) -> None:
        dropped = [record for record in self._pending if record.partition in partitions]
        self._pending = [record for record in self._pending if record.partition not in partitions]
        self._count(-sum(map(_size, dropped)))

    def _count(self, more_bytes: int) -> None:
        self._pending_bytes += more_bytes
        if self.has_room():
            self._room.set()
        else:
            self._room.clear()

    def read_again(self, partition: int) -> None:
        """Go back to the partition's watermark, after the current batch; a gap is closed once more then."""
        self._rewound.pop(partition, None)
        self._due.add(partition)
        self._wake.set()

    def stop(self) -> None:
        """Let `run` return after the current batch, or at once if that is waiting for Postgres."""
        self._stopping = True
        self._wake.set()
        self._linger.stop()

    async def run(self) -> None:
        """Apply batches until stopped. Raises what `rewind` raises, after which the process must end."""
        while True:
            await self._wake.wait()
            while self._due:
                await self._read_again(self._due.pop())
            await self._linger.wait(len(self._pending))
            if self._stopping:
                return
            if batch := self._take():
                self._linger.took(len(batch))
                await self._settle(batch)

    def _take(self) -> list[Record]:
        """The next batch: bounded in records and in bytes, but at least one record."""
        batch, size = self._pending[:BATCH_MAX_RECORDS], 0
        for count, record in enumerate(batch):
            if size + _size(record) > BATCH_MAX_BYTES and count:
                batch = batch[:count]
                break
            size += _size(record)
        self._pending = self._pending[len(batch) :]
        self._count(-size)
        if not self._pending:
            self._wake.clear()
        return batch

    async def _settle(self, records: Sequence[Record]) -> bool:
        """Apply; or find the record that cannot be applied and halt its partition, while the others continue.

        Returns whether all of it was applied.
        """
        records = [record for record in records if record.partition not in self.halts]
        failure: Exception | None = None
        for _ in range(TRIES):
            try:
                await self._apply_when_possible(records)
            except GapError as gap:
                await self._close_gap(gap, records)
                await self._settle([record for record in records if record.partition != gap.partition])
                return False
            except Exception as error:  # noqa: BLE001 - whatever it is, it must not be skipped
                failure = error
            else:
                return True
        assert failure is not None  # noqa: S101 - every other way out of the loop returns
        await self._isolate(records, failure)
        return False

    async def _isolate(self, records: Sequence[Record], failure: Exception) -> None:
        """Apply by partition, then record by record; the first record that fails alone halts its partition."""
        partitions = {record.partition for record in records}
        if len(partitions) > 1:
            for partition in sorted(partitions):
                await self._settle([record for record in records if record.partition == partition])
        elif len(records) > 1:
            for record in records:
                if not await self._settle([record]):
                    return
        else:
            _log.error("record_failed", offset=records[0].offset, exc_info=failure)
            self.halts.add(records[0], failure)

    async def _apply_when_possible(self, records: list[Record]) -> None:
        """Retry the same batch for as long as Postgres is unavailable or refuses it for a passing reason, or the
        platform's own policy gives no verdict and is to be waited for.
        """
        delay = RETRY_FIRST_SECONDS
        while records and not self._stopping:
            try:
                await self._apply(records, self._following(records))
            except Exception as error:
                if not is_passing(error):
                    self.waits_for_policy = False
                    raise
                await self._wait(error, delay, len(records))
                delay = min(delay * 2, RETRY_MAX_SECONDS)
            else:
                self._health.well("postgres")
                self._health.well("policy")
                self.waits_for_policy = False
                self._applied(records)
                return

    async def _wait(self, error: Exception, delay: float, records: int) -> None:
        self.waits_for_policy = isinstance(error, PolicyWaitsError)
        part, whom = ("policy", "policy") if self.waits_for_policy else ("postgres", "Postgres")
        words = f"{type(error).__name__}: {str(error).strip()}"
        self._health.problem(part, f"the batch waits for {whom}: {words}")
        _log.warning("batch_retrying", error=words, retry_seconds=delay, records=records)
        metrics.RETRIES.inc()
        await asyncio.sleep(delay)

    def _applied(self, records: Iterable[Record]) -> None:
        for partition, _ in groupby(record.partition for record in records):
            self.halts.remove(partition)

    def _following(self, records: list[Record]) -> list[Record]:
        """The batch after a full one, if it is full too: a smaller one could still grow."""
        whole = len(records) == BATCH_MAX_RECORDS and len(self._pending) >= BATCH_MAX_RECORDS
        return self._pending[:BATCH_MAX_RECORDS] if whole else []

    async def _close_gap(self, gap: GapError, records: Sequence[Record]) -> None:
        """Read the partition again from its watermark, once; halt it if the gap is still there."""
        _log.warning(
            "offset_gap", topic=self._topic, partition=gap.partition, next_offset=gap.next_offset, error=str(gap)
        )
        if self._rewound.get(gap.partition) == gap.next_offset:
            self.halts.add(next(record for record in records if record.partition == gap.partition), gap)
            return
        await self._read_again(gap.partition)
        self._rewound[gap.partition] = gap.next_offset

    async def _read_again(self, partition: int) -> None:
        """The partition's next record will be the one at its watermark."""
        await self._rewind(partition)
        self._drop({partition})  # afterwards: what came meanwhile is from the position before


def _size(record: Record) -> int:
    headers = sum(len(name) + len(content or b"") for name, content in record.headers)
    return len(record.value or b"") + len(record.key or b"") + headers
