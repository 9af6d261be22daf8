"""Applying a batch: one transaction, exactly once, whatever died before it (decisions 1 and 2)."""

import time
from collections.abc import Iterable, Mapping, Sequence

from processor import measures, store
from processor.batch import Batch, Read, Record, Tables, Wanted, Watermark, read, wanted
from processor.policy import PolicySettings
from processor.recent import Recent
from processor.store import Connection, NewAccountError, OutdatedError
from service.batches import Unreadable
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

    What it remembers of the tables lasts no longer than the connection, which keeps a rebuild away.
    """

    def __init__(self, settings: ServiceSettings, partitions: int, policy: PolicySettings) -> None:
        self._settings = settings
        self._partitions = partitions
        self._policy = policy
        self._connection: Connection | None = None
        self._recent = Recent()

    async def __call__(self, records: Sequence[Record]) -> Batch:
        """Apply a batch; see `apply` for what it does and raises. When others were there meanwhile, again."""
        while True:
            try:
                return await self._apply(records)
            except NewAccountError as error:
                _log.info("account_appeared", error=str(error).strip())
            except OutdatedError as error:
                self._recent.missed()
                measures.OUTDATED.inc()
                _log.info("rows_outdated", error=str(error).strip())

    async def _apply(self, records: Sequence[Record]) -> Batch:
        started = time.perf_counter()
        if self._connection is None:
            self._connection = await self._connect()
        try:
            batch = await apply(self._connection, records, self._partitions, self._policy, self._recent)
            await measures.observe(batch, self._connection, time.perf_counter() - started)
        except BaseException:
            await self.close()
            raise
        return batch

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
        if connection is not None:
            await connection.close()


async def apply(
    connection: Connection, records: Sequence[Record], partitions: int, policy: PolicySettings, recent: Recent
) -> Batch:
    """Apply a batch in one transaction, on rows that are remembered or else loaded.

    1. read the records   2. lock and load their rows   3. drop what is applied, stop at a gap   4. decide   5. write,
    commit, notify

    Raises GapError, ForeignRecordError, UnreadableRecordError, NewerSchemaError, LostRaceError, NewAccountError,
    OutdatedError or psycopg.Error; then nothing was written, and the connection must not be used again.
    """
    reads = [read_readable(record, partitions) for record in records]
    asked = wanted(reads)
    batch = _decide_on_recent(reads, asked, policy, recent)
    if batch is None:
        tables = await store.begin(connection, asked)
        batch = _decide(tables, await _fresh(connection, reads, tables.watermarks), policy)
    await store.save(connection, batch)
    recent.keep(batch)
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
    """Raises UnreadableRecordError, and what `read` raises."""
    if isinstance(record.value, Unreadable):
        raise UnreadableRecordError(record.value.reason)
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
