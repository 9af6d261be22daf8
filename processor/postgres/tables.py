"""Loading the rows that records need, and committing what a batch changed; used by processors and by a rebuild.

Nothing is locked between the two. The commit guards every row that a decision rested on: a watermark by offset and
hash, an allocation by version, a new id by its insertion, an absent id by its absence, an account or a day's sum by
sequence. If a guard fails, nothing is written (decision 2).
"""

from collections.abc import Sequence
from typing import Any, Final

import orjson
import psycopg

from processor.domain.account import Account
from processor.domain.batch import Batch
from processor.domain.rows import LoadedRows, Wanted, Watermark
from processor.postgres.notifications import notifications
from processor.postgres.rows import (
    adjustment_of_row,
    changes,
    connection_of_row,
    platform_account_of_row,
    state_of,
    usage_of_row,
)
from service.postgres import Connection
from service.sql import statements

GUARD_MISSED: Final = "AL001"
"""The SQLSTATE of `require_rows`."""
NEW_ROWS: Final = frozenset(
    {
        *("allocation_pkey", "account_pkey", "adjustment_pkey", "platform_account_pkey", "daily_usage_pkey"),
        *("connection_pkey", "connection_token_hash_key", "connection_one_active"),
    }
)
"""Constraints that a concurrent insert of the same new row violates, or of one that excludes it. A violation of any
other is a defect.
"""

_SQL: Final = statements("processor.postgres")
_NONE: Final = (None,) * 7


class OutdatedError(Exception):
    """Another worker changed a row that the decisions used. Nothing was written; load and decide again."""


async def share_tables(connection: Connection) -> None:
    """Take the shared lock that excludes a rebuild, for the life of this connection; waits for a running rebuild."""
    await connection.execute(_SQL["share_tables"])


async def take_tables(connection: Connection) -> bool:
    """Take the exclusive lock against all writers, for the life of this connection; false if there is a writer."""
    row = await (await connection.execute(_SQL["take_tables"])).fetchone()
    return bool(row and row[0])


async def load(connection: Connection, wanted: Wanted) -> LoadedRows:
    """The rows that the records need, in one snapshot."""
    named = sorted(wanted.accounts)
    usages = sorted(wanted.usages)
    cursor = await connection.execute(
        _SQL["load"],
        {
            "partitions": sorted(wanted.partitions),
            "allocation_ids": list(wanted.allocation_ids),
            "moved_ids": list(wanted.moved_ids),
            "connection_ids": [connection_id for connection_id, _ in named],
            "currencies": [currency for _, currency in named],
            "adjustment_ids": list(wanted.adjustment_ids),
            "known_ids": list(wanted.connection_ids),
            "changed_ids": list(wanted.changed_connections),
            "platform_accounts": list(wanted.platform_accounts),
            "token_hashes": list(wanted.token_hashes),
            "usage_scopes": [key.scope for key in usages],
            "usage_ids": [key.id for key in usages],
            "usage_kinds": [key.kind for key in usages],
            "usage_currencies": [key.currency for key in usages],
            "usage_days": [key.day for key in usages],
        },
    )
    row = await cursor.fetchone() or _NONE
    watermarks, allocations, accounts, adjustments, connections, platform_accounts, days = row
    return LoadedRows(
        {each[0]: Watermark(each[1], bytes.fromhex(each[2])) for each in watermarks or ()},
        {each["allocation_id"]: state_of(each) for each in allocations or ()},
        {(each[0], each[1]): Account(each[0], each[1], each[2], int(each[3]), int(each[4])) for each in accounts or ()},
        {each["adjustment_id"]: adjustment_of_row(each) for each in adjustments or ()},
        {each["connection_id"]: connection_of_row(each) for each in connections or ()},
        {each["partners_connection_id"]: platform_account_of_row(each) for each in platform_accounts or ()},
        {usage.key: usage for usage in map(usage_of_row, days or ())},
    )


async def load_journaled(connection: Connection, positions: Sequence[tuple[int, int]]) -> dict[tuple[int, int], Any]:
    """Command id and dead-lettered bytes of journal rows, by partition and offset."""
    cursor = await connection.execute(
        _SQL["load_journaled"],
        {"partitions": [partition for partition, _ in positions], "offsets": [offset for _, offset in positions]},
    )
    return {(row[0], row[1]): (row[2], row[3]) for row in await cursor.fetchall()}


async def commit(connection: Connection, batch: Batch) -> None:
    """Write the batch's changes, commit, then notify: one procedure call, outside any transaction.

    Raises OutdatedError with nothing written; after psycopg.Error it is unknown whether it was, until rows are loaded.
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
