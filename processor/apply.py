"""Applying a batch: one transaction, exactly once, whatever died before it (decisions 1 and 2)."""

import time
from collections.abc import Collection, Sequence
from typing import Final

from processor import measures, store
from processor.account import AccountKey
from processor.batch import Batch, Read, Record, Tables, Watermark, accounts_needed, read
from processor.policy import PolicySettings
from processor.store import Connection
from schemas.commands import Command
from service.log_checks import is_same_record
from service.logs import logger
from service.postgres import connect
from service.settings import ServiceSettings

KNOWN_ACCOUNTS_MAX: Final = 100_000

_log = logger("processor")


class GapError(Exception):
    """A record came before the ones that precede it."""

    def __init__(self, partition: int, next_offset: int, offset: int) -> None:
        super().__init__(f"offset {offset} came while {next_offset} is the next")
        self.partition = partition
        self.next_offset = next_offset


class ForeignRecordError(Exception):
    """A record below the watermark is not the one that was applied there: the log is not the one we knew."""


class Applier:
    """Applies batches on a connection of its own, and makes a new one after anything went wrong on the last."""

    def __init__(self, settings: ServiceSettings, partitions: int, policy: PolicySettings) -> None:
        self._settings = settings
        self._partitions = partitions
        self._policy = policy
        self._connection: Connection | None = None
        self._known_accounts: set[AccountKey] = set()

    async def __call__(self, records: Sequence[Record]) -> Batch:
        """Apply a batch; see `apply` for what it does and raises."""
        started = time.perf_counter()
        if self._connection is None:
            self._connection = await connect(self._settings, "allocations-processor")
        try:
            batch = await apply(self._connection, records, self._partitions, self._policy, self._known_accounts)
            await measures.observe(batch, self._connection, time.perf_counter() - started)
        except BaseException:
            await self.close()
            raise
        self._remember(batch)
        return batch

    def _remember(self, batch: Batch) -> None:
        """Accounts are never deleted; those that were seen need not be inserted again."""
        if len(self._known_accounts) > KNOWN_ACCOUNTS_MAX:
            self._known_accounts.clear()
        self._known_accounts.update(batch.accounts)

    async def close(self) -> None:
        self._known_accounts.clear()
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


async def apply(
    connection: Connection,
    records: Sequence[Record],
    partitions: int,
    policy: PolicySettings,
    known_accounts: Collection[AccountKey] = (),
) -> Batch:
    """Apply a batch in one transaction.

    1. read the records   2. lock the watermarks   3. load the allocations   4. drop what is applied, stop at a gap
    5. lock the accounts   6. decide   7. write   8. commit   9. notify

    Raises GapError, ForeignRecordError, NewerSchemaError, LostRaceError or psycopg.Error; then nothing was written, and
    the connection must not be used again.
    """
    reads = [read(record, partitions) for record in records]
    ids = {each.content.allocation_id for each in reads if isinstance(each.content, Command)}
    watermarks, states = await store.begin(connection, {record.partition for record in records}, ids)
    fresh = await _fresh(connection, reads, watermarks)
    accounts = await store.lock_accounts(connection, accounts_needed(fresh, states), known_accounts)
    batch = Batch(Tables(watermarks, states, accounts), policy)
    for each in fresh:
        batch.add(each)
    await store.save(connection, batch)
    return batch


async def _fresh(connection: Connection, reads: Sequence[Read], watermarks: dict[int, Watermark]) -> list[Read]:
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


async def _check_applied(connection: Connection, applied: Sequence[Read], watermarks: dict[int, Watermark]) -> None:
    """A record below the watermark is dropped only when the journal holds the same record at its offset."""
    below = [each for each in applied if each.record.offset < watermarks[each.record.partition].next_offset]
    positions = [(each.record.partition, each.record.offset) for each in below]
    journaled = await store.load_journaled(connection, positions)
    for each, position in zip(below, positions, strict=True):
        if position not in journaled or not is_same_record(each.record.value, *journaled[position]):
            raise ForeignRecordError(
                f"partition {position[0]} has another record at offset {position[1]} than the journal"
            )
