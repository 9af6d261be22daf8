"""Applying a batch: one transaction, exactly once, whatever died before it (decisions 1 and 2)."""

import asyncio
import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from operator import is_

from processor import measures, store
from processor.batch import Batch, Read, Record, Tables, Wanted, Watermark, read, wanted
from processor.policy import PolicySettings
from processor.recent import Recent
from processor.store import Connection, NewAccountError, OutdatedError
from service.log_checks import is_same_record
from service.logs import logger
from service.postgres import KEYED, connect
from service.settings import ServiceSettings

_log = logger("processor")


class GapError(Exception):
    """A record came before the ones that precede it."""

    def __init__(self, partition: int, next_offset: int, offset: int) -> None:
        super().__init__(f"offset {offset} came while {next_offset} is the next")
        self.partition = partition
        self.next_offset = next_offset


class ForeignRecordError(Exception):
    """A record below the watermark is not the one that was applied there: the log is not the one we knew."""


class UnreadableRecordError(Exception):
    """A record that can not be decoded at all, so that nobody can say what was asked."""


class Applier:
    """Applies batches on a connection of its own, and makes a new one after anything went wrong on the last.

    What it remembers of the tables lasts no longer than the connection, which keeps a rebuild away; nor does the batch
    that it has decided ahead.
    """

    def __init__(self, settings: ServiceSettings, partitions: int, policy: PolicySettings) -> None:
        self._settings = settings
        self._partitions = partitions
        self._policy = policy
        self._connection: Connection | None = None
        self._recent = Recent()
        self._ahead: tuple[Sequence[Record], Batch] | None = None

    async def __call__(self, records: Sequence[Record], following: Sequence[Record] = ()) -> Batch:
        """Apply a batch in one transaction; when others were there meanwhile, again.

        `following` is decided while the batch is written (record 0017), for a next call with these very records.

        Raises what `load_and_decide` and `store.save` raise; then nothing was written, unless the connection broke.
        """
        while True:
            try:
                return await self._apply(records, following)
            except NewAccountError as error:
                _log.info("account_appeared", error=str(error).strip())
            except OutdatedError as error:
                self._recent.missed()
                measures.OUTDATED.inc()
                _log.info("rows_outdated", error=str(error).strip())

    async def _apply(self, records: Sequence[Record], following: Sequence[Record]) -> Batch:
        started = time.perf_counter()
        if self._connection is None:
            self._connection = await self._connect()
        try:
            batch = self._take_decided(records) or await load_and_decide(
                self._connection, records, self._partitions, self._policy, self._recent
            )
            await self._save(self._connection, batch, following)
            await measures.observe(batch, self._connection, time.perf_counter() - started)
        except BaseException:
            await self.close()
            raise
        return batch

    async def _save(self, connection: Connection, batch: Batch, following: Sequence[Record]) -> None:
        """Write a batch, and decide what follows while Postgres is at it.

        That rests on what this batch leaves, which is remembered before it is written: when it is not, `close` forgets.
        """
        if not following:
            await store.save(connection, batch)
            self._recent.keep(batch)
            return
        saving = asyncio.create_task(store.save(connection, batch))
        try:
            await asyncio.sleep(0)  # until it was sent
            self._recent.keep(batch)
            self._decide_ahead(following)
        finally:
            await saving

    def _decide_ahead(self, records: Sequence[Record]) -> None:
        """Whatever stands in the way is found again, and dealt with, when it is these records' turn."""
        with contextlib.suppress(Exception):
            reads = [read_readable(record, self._partitions) for record in records]
            if batch := _decide_on_recent(reads, wanted(reads), self._policy, self._recent):
                self._ahead = records, batch

    def _take_decided(self, records: Sequence[Record]) -> Batch | None:
        ahead, self._ahead = self._ahead, None
        if ahead is None or len(ahead[0]) != len(records) or not all(map(is_, ahead[0], records)):
            return None
        return ahead[1]

    async def _connect(self) -> Connection:
        """A connection on which nobody rebuilds the tables meanwhile."""
        connection = await connect(self._settings, "allocations-processor", KEYED)
        try:
            await store.share_tables(connection)
        except BaseException:
            await connection.close()
            raise
        return connection

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        self._recent.forget()
        self._ahead = None
        if connection is not None:
            await connection.close()


async def load_and_decide(
    connection: Connection, records: Sequence[Record], partitions: int, policy: PolicySettings, recent: Recent
) -> Batch:
    """Decide a batch on rows that are remembered, or else loaded under lock, in a transaction that `store.save` ends.

    1. read the records   2. lock and load their rows   3. drop what is applied, stop at a gap   4. decide

    Raises GapError, ForeignRecordError, UnreadableRecordError, NewerSchemaError or psycopg.Error; then the connection
    must not be used again.
    """
    reads = [read_readable(record, partitions) for record in records]
    asked = wanted(reads)
    batch = _decide_on_recent(reads, asked, policy, recent)
    if batch is None:
        tables = await store.begin(connection, asked)
        batch = _decide(tables, await _fresh(connection, reads, tables.watermarks), policy)
    return batch


def _decide(tables: Tables, reads: Iterable[Read], policy: PolicySettings) -> Batch:
    batch = Batch(tables, policy)
    for each in reads:
        batch.add(each)
    return batch


def _decide_on_recent(reads: Sequence[Read], asked: Wanted, policy: PolicySettings, recent: Recent) -> Batch | None:
    """The batch decided on what is remembered, or None when it must be loaded.

    An id that was taken for new is guarded by being inserted, so one that is not must be looked up. Dead letters may be
    too large for one call.
    """
    tables = recent.tables(reads, asked)
    if tables is None:
        return None
    try:
        batch = _decide(tables, reads, policy)
    except ArithmeticError:  # a balance is not as remembered
        return None
    return batch if asked.allocation_ids <= batch.states.keys() and not batch.dead_letters else None


def read_readable(record: Record, partitions: int) -> Read:
    """Raises what `read` raises."""
    return read(record, partitions)


async def _fresh(connection: Connection, reads: Sequence[Read], watermarks: Mapping[int, Watermark]) -> list[Read]:
    """The records that are not applied yet, without a gap before any of them."""
    expected = {partition: mark.next_offset for partition, mark in watermarks.items()}
    fresh, applied = [], []
    for each in reads:
        partition, offset = each.record.partition, each.record.offset
        if offset < expected[partition]:
            applied.append(each)
        elif offset > expected[partition]:
            raise GapError(partition, expected[partition], offset)
        else:
            fresh.append(each)
            expected[partition] = offset + 1
    if applied:
        await _check_applied(connection, applied, watermarks)
    return fresh


async def _check_applied(connection: Connection, applied: Sequence[Read], watermarks: Mapping[int, Watermark]) -> None:
    """A record below the watermark is dropped only when the journal holds the same record at its offset."""
    below = [each for each in applied if each.record.offset < watermarks[each.record.partition].next_offset]
    positions = [(each.record.partition, each.record.offset) for each in below]
    journaled = await store.load_journaled(connection, positions)
    for each, position in zip(below, positions, strict=True):
        if position not in journaled or not is_same_record(each.record.value, *journaled[position]):
            raise ForeignRecordError(
                f"partition {position[0]} has another record at offset {position[1]} than the journal"
            )
