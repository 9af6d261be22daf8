"""The tables as a processor and a rebuild use them: what records need is loaded, what a batch left is committed.

Nothing is locked between the two. Every row that a decision rests on is guarded by the call that commits: a watermark
by its offset and hash, an allocation by its version, a new id by its insertion, an absent one by its absence, an
account by its sequence. A guard that misses undoes all of it (decision 2).
"""

from collections.abc import Sequence
from typing import Any, Final

import orjson
import psycopg

from processor.domain.account import Account
from processor.domain.batch import Batch, Tables, Wanted, Watermark
from processor.postgres.notifications import notifications
from processor.postgres.rows import changes, state_of
from service.postgres import Connection
from service.sql import statements

GUARD_MISSED: Final = "AL001"
"""The SQLSTATE of `require_rows`."""
NEW_ROWS: Final = frozenset({"allocation_pkey", "account_pkey"})
"""What a row violates that was new when the batch was decided. Any other violation is no worker's doing."""

_SQL: Final = statements("processor.postgres")


class OutdatedError(Exception):
    """A row was not as the decisions found it: another worker wrote it. Nothing was written; load and decide again."""


async def share_tables(connection: Connection) -> None:
    """Keep a rebuild away for as long as this connection lasts; waits while one is at work."""
    await connection.execute(_SQL["share_tables"])


async def take_tables(connection: Connection) -> bool:
    """Keep every writer away for as long as this connection lasts; false when there is one."""
    row = await (await connection.execute(_SQL["take_tables"])).fetchone()
    return bool(row and row[0])


async def load(connection: Connection, wanted: Wanted) -> Tables:
    """The rows that records ask for, as they are at one instant."""
    named = sorted(wanted.accounts)
    cursor = await connection.execute(
        _SQL["load"],
        {
            "partitions": sorted(wanted.partitions),
            "allocation_ids": list(wanted.allocation_ids),
            "moved_ids": list(wanted.moved_ids),
            "connection_ids": [connection_id for connection_id, _ in named],
            "currencies": [currency for _, currency in named],
        },
    )
    watermarks, allocations, accounts = await cursor.fetchone() or (None, None, None)
    return Tables(
        {each[0]: Watermark(each[1], bytes.fromhex(each[2])) for each in watermarks or ()},
        {each["allocation_id"]: state_of(each) for each in allocations or ()},
        {(each[0], each[1]): Account(each[0], each[1], each[2], int(each[3]), int(each[4])) for each in accounts or ()},
    )


async def load_journaled(connection: Connection, positions: Sequence[tuple[int, int]]) -> dict[tuple[int, int], Any]:
    """Command id and dead-lettered bytes of journal rows, by partition and offset."""
    cursor = await connection.execute(
        _SQL["load_journaled"],
        {"partitions": [partition for partition, _ in positions], "offsets": [offset for _, offset in positions]},
    )
    return {(row[0], row[1]): (row[2], row[3]) for row in await cursor.fetchall()}


async def commit(connection: Connection, batch: Batch) -> None:
    """Write what the batch changed, commit, and only then notify: one call, outside of any transaction.

    Raises OutdatedError with nothing written; psycopg.Error when nobody knows whether it was until rows are loaded.
    """
    try:
        await connection.execute(
            _SQL["commit"],
            {"batch": orjson.dumps(changes(batch)).decode(), "payloads": list(notifications(batch))},
        )
    except psycopg.Error as error:
        if error.sqlstate == GUARD_MISSED or error.diag.constraint_name in NEW_ROWS:
            raise OutdatedError(str(error).strip()) from error
        raise
