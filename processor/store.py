"""The tables: loading what a batch needs, writing what it left. One connection, one transaction at a time.

Every write is guarded by what was loaded; a guard that misses raises and nothing is written (decision 2).
"""

from collections.abc import Sequence
from typing import Any, Final

import orjson
import psycopg

from processor.account import Account, AccountKey
from processor.batch import Batch, Tables, Wanted, Watermark
from processor.notices import notices
from processor.rows import changes, dead_letter_row, state_of
from schemas.notices import CHANNEL
from service.sql import statements

Connection = psycopg.AsyncConnection[tuple[Any, ...]]

LOST_RACE: Final = "AL001"
"""The SQLSTATE of `require_rows`."""

_SQL: Final = statements("processor")


class LostRaceError(Exception):
    """A row was not as it was loaded under lock: somebody else wrote, who must not have."""


class OutdatedError(Exception):
    """A row was not as it was remembered: nothing was written, load it."""


class NewAccountError(Exception):
    """Another worker made an account that was missing when this batch looked: nothing was written, look again."""


async def share_tables(connection: Connection) -> None:
    """Keep a rebuild away for as long as this connection lasts; waits while one is at work."""
    await connection.execute(_SQL["share_tables"])


async def take_tables(connection: Connection) -> bool:
    """Keep every writer away for as long as this connection lasts; false when there is one."""
    row = await (await connection.execute(_SQL["take_tables"])).fetchone()
    return bool(row and row[0])


async def begin(connection: Connection, wanted: Wanted) -> Tables:
    """Open the transaction, lock and load, in one round trip."""
    named = sorted(wanted.accounts)
    asked = {
        "partitions": sorted(wanted.partitions),
        "allocation_ids": list(wanted.allocation_ids),
        "moved_ids": list(wanted.moved_ids),
        "connection_ids": [connection_id for connection_id, _ in named],
        "currencies": [currency for _, currency in named],
    }
    async with connection.pipeline():
        await connection.execute(b"BEGIN")
        cursor = await connection.execute(_SQL["lock_and_load"], asked)
    row = await cursor.fetchone()
    watermarks, allocations, accounts = row or (None, None, None)
    return Tables(
        {each[0]: Watermark(each[1], bytes.fromhex(each[2])) for each in watermarks or ()},
        {each[0]: state_of(each) for each in allocations or ()},
        {(each[0], each[1]): Account(each[0], each[1], each[2], int(each[3]), int(each[4])) for each in accounts or ()},
    )


async def load_journaled(connection: Connection, positions: Sequence[tuple[int, int]]) -> dict[tuple[int, int], Any]:
    """Command id and dead-lettered bytes of journal rows, by partition and offset."""
    cursor = await connection.execute(
        _SQL["load_journaled"],
        {"partitions": [partition for partition, _ in positions], "offsets": [offset for _, offset in positions]},
    )
    return {(row[0], row[1]): (row[2], row[3]) for row in await cursor.fetchall()}


async def save(connection: Connection, batch: Batch) -> None:
    """Write what the batch changed, commit, and only then notify: one round trip.

    Where `begin` opened a transaction, the rest of it; where nothing is locked, one call, which takes no dead letters.

    Raises, with nothing written: LostRaceError when a row is not as it was loaded, NewAccountError when an account
    appeared meanwhile; OutdatedError when a row is not as it was remembered.
    """
    locked = batch.loaded.locked
    document = {"batch": orjson.dumps(changes(batch)).decode()}
    told = {"channel": CHANNEL, "payloads": list(notices(batch))}
    try:
        if locked:
            async with connection.pipeline():
                await connection.execute(_SQL["save"], document)
                for record, parked in batch.dead_letters:
                    await connection.execute(_SQL["insert_dead_letter"], dead_letter_row(record, parked))
                await connection.execute(b"COMMIT")
                await connection.execute(_SQL["tell"], told)
        else:
            await connection.execute(_SQL["commit"], document | told)
    except psycopg.errors.UniqueViolation as error:
        if not locked:
            raise OutdatedError(str(error)) from error
        if error.diag.constraint_name == "account_pkey":
            raise NewAccountError(str(error)) from error
        raise
    except psycopg.Error as error:
        if error.sqlstate == LOST_RACE:
            raise (LostRaceError if locked else OutdatedError)(str(error)) from error
        raise


async def uncleared_base_units(connection: Connection, key: AccountKey) -> int:
    """The sum of the account's allocations that are reserved and not cleared."""
    cursor = await connection.execute(_SQL["uncleared"], {"connection_id": key[0], "currency": key[1]})
    row = await cursor.fetchone()
    return int(row[0]) if row else 0
