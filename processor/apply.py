"""Applying a batch of records: load, decide, commit, exactly once, whatever died before it (decisions 1 and 2)."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from operator import is_
from typing import Final

from processor import metrics
from processor.committed import Committed
from processor.domain.batch import Batch, Read, Record, read
from processor.domain.policy import Judge, PluggedPolicy, PolicySettings
from processor.domain.rows import LoadedRows, Watermark
from processor.plug.plug import Plug
from processor.postgres.store import Store
from processor.postgres.tables import OutdatedError
from service.log_checks import is_same_record
from service.logs import logger

PLUGGED_SECONDS: Final = 1.0
"""A platform's own policy may take its time for each reserve: what was decided within this time is committed first."""
UNCHANGED_MAX: Final = 3
"""How often in a row tables in which nothing has changed may refuse a batch as outdated."""

_log = logger("processor")


class GapError(Exception):
    """A record's offset is beyond its partition's next offset: those between are missing."""

    def __init__(self, partition: int, next_offset: int, offset: int) -> None:
        super().__init__(f"offset {offset} came while {next_offset} is the next")
        self.partition = partition
        self.next_offset = next_offset


class ForeignRecordError(Exception):
    """A record below the watermark is not the one that was applied there: the log is not the one we knew."""


class Applier:
    """Applies batches on one store. The next batch may be decided while one is being committed.

    With a platform's own policy, batches are decided in a thread, because it may take its time and the heartbeats of
    the event loop must not wait, and none is decided ahead. `committed` is called with each that was committed.
    """

    def __init__(
        self,
        store: Store,
        partitions: int,
        policy: PolicySettings,
        plug: Plug | None = None,
        committed: Callable[[Batch], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._partitions = partitions
        self._plug = plug
        self._judge: Judge = PluggedPolicy(policy, plug.ask) if plug else policy
        self._committed = committed
        self.written = Committed()
        self._ahead: tuple[Sequence[Record], Batch] | None = None

    async def __call__(self, records: Sequence[Record], following: Sequence[Record] = ()) -> Batch:
        """Apply a batch; returns what was committed last, without records applied before.

        1. decode the records   2. load their rows   3. drop applied ones, stop at a gap   4. decide   5. commit;
        if another worker wrote one of the rows in between, or policy took its time and some are left, repeat from 2.

        `following` is decided during the commit, for a next call with exactly these records.

        Raises GapError, ForeignRecordError, ContradictionError, NewerSchemaError, ArithmeticError; OutdatedError for
        what is refused though nobody else wrote anything, and may pass record by record; UnavailableError and
        psycopg.Error, after which it is unknown whether the batch was committed, until it is applied again.
        """
        started = time.perf_counter()
        reads = [read(record, self._partitions) for record in records]
        refused, unchanged = None, 0
        while True:
            batch = self._take_ahead(records) or await self._decide(reads)
            try:
                await self._commit(batch, following)
            except OutdatedError as error:
                metrics.OUTDATED.inc()
                _log.info("batch_outdated", error=str(error), records=len(records))
                unchanged = unchanged + 1 if batch.loaded == refused else 0
                refused = batch.loaded
                if unchanged >= UNCHANGED_MAX:
                    raise
            else:
                self.written.note(batch)
                metrics.observe(batch, time.perf_counter() - started)
                self._committed(batch)
                reads = _left(reads, batch)
                if not reads:
                    return batch

    async def _decide(self, reads: Sequence[Read]) -> Batch:
        try:
            return await self._decide_on(await self._store.load(reads), reads)
        except ArithmeticError:  # a balance below zero: a cached one may be another worker's by now
            self._store.forget()
            return await self._decide_on(await self._store.load(reads), reads)

    async def _decide_on(self, tables: LoadedRows, reads: Sequence[Read]) -> Batch:
        fresh = await self._fresh(reads, tables.watermarks)
        if self._plug:
            return await asyncio.to_thread(decide, tables, fresh, self._judge, PLUGGED_SECONDS)
        return decide(tables, fresh, self._judge)

    async def _fresh(self, reads: Sequence[Read], watermarks: Mapping[int, Watermark]) -> list[Read]:
        """The records that are not applied yet, without a gap before any of them."""
        expected = {partition: mark.next_offset for partition, mark in watermarks.items()}
        fresh, applied = [], []
        for each in reads:
            partition, offset = each.record.partition, each.record.offset
            if offset < watermarks[partition].next_offset:
                applied.append(each)
            elif offset > expected[partition]:
                raise GapError(partition, expected[partition], offset)
            elif offset == expected[partition]:
                fresh.append(each)
                expected[partition] = offset + 1
        if applied:
            await self._check_applied(applied)
        return fresh

    async def _check_applied(self, applied: Sequence[Read]) -> None:
        """A record below the watermark is dropped only when the journal holds the same record at its offset."""
        positions = [(each.record.partition, each.record.offset) for each in applied]
        journaled = await self._store.load_journaled(positions)
        for each, position in zip(applied, positions, strict=True):
            if position not in journaled or not is_same_record(each.record.value, *journaled[position]):
                raise ForeignRecordError(
                    f"partition {position[0]} has another record at offset {position[1]} than the journal"
                )

    async def _commit(self, batch: Batch, following: Sequence[Record]) -> None:
        if not batch.journal:
            return
        self.written.check(batch)
        committing = asyncio.create_task(self._store.commit(batch)) if following and not self._plug else None
        if committing is None:
            await self._store.commit(batch)
            return
        try:
            await asyncio.sleep(0)  # until it was sent
            self._decide_ahead(following)
            await committing
        except BaseException:
            self._ahead = None
            committing.cancel()
            raise

    def _decide_ahead(self, records: Sequence[Record]) -> None:
        """Decide the next batch on the rows that the running commit will leave, if they are all cached.

        Any error is ignored here: it occurs again, and is handled, when these records are applied.
        """
        with contextlib.suppress(Exception):
            reads = [read(record, self._partitions) for record in records]
            if tables := self._store.cached(reads):
                self._ahead = records, decide(tables, reads, self._judge)

    def _take_ahead(self, records: Sequence[Record]) -> Batch | None:
        ahead, self._ahead = self._ahead, None
        if ahead is None or len(ahead[0]) != len(records) or not all(map(is_, ahead[0], records)):
            return None
        return ahead[1]

    async def close(self) -> None:
        self._ahead = None
        await self._store.close()


def _left(reads: Sequence[Read], batch: Batch) -> list[Read]:
    """What a batch did not decide."""
    ends = batch.watermarks
    return [each for each in reads if each.record.offset >= ends[each.record.partition].next_offset]


def decide(tables: LoadedRows, reads: Sequence[Read], judge: Judge, seconds: float = float("inf")) -> Batch:
    """Decides one record at least, and no further one after so many seconds.

    Raises ArithmeticError when a balance would fall below zero; PolicyWaitsError.
    """
    batch, end = Batch(tables, judge), time.monotonic() + seconds
    for each in reads:
        if batch.journal and time.monotonic() > end:
            break
        batch.add(each)
    return batch
