"""The tables: loading what a batch needs, writing what it left. One connection, one transaction at a time.

Every write is guarded by what was loaded; a guard that misses raises LostRaceError and nothing is written (decision 2).
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Final

import orjson
import psycopg

from processor.account import Account, AccountKey
from processor.batch import Batch, LedgerRow, Parked, Record, Tables, Wanted, Watermark
from processor.journal import JournalRow
from processor.machine import Allocation, Extras, State, Tombstone
from processor.notices import notices
from schemas.commands import Amount, Edition
from schemas.notices import CHANNEL
from schemas.records import header_name_bytes
from schemas.words import Kind, Rejection, Status
from service.sql import statements

Connection = psycopg.AsyncConnection[tuple[Any, ...]]

LOST_RACE: Final = "AL001"
"""The SQLSTATE of `require_rows`."""

ALLOCATION_COLUMNS: Final = (
    *("allocation_id", "kind", "status", "version", "currency", "quantity", "client_id", "connection_id"),
    *("partners_connection_id", "partner_allocation_id", "edition", "created_at", "updated_at", "rejection_reason"),
    *("policy_result", "decided_by", "reissued_at"),
    *(each.name for each in fields(Extras)),
)

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

    Raises, with nothing written: LostRaceError when a row is not as it was loaded, NewAccountError when an account
    appeared meanwhile; OutdatedError when a row is not as it was remembered.
    """
    loaded = batch.loaded
    document = {
        "new_allocations": _new_allocations(loaded.states, batch.states),
        "changed_allocations": _changed_allocations(loaded.states, batch.states),
        "new_accounts": [account_row(account) for key, account in batch.accounts.items() if key not in loaded.accounts],
        "changed_accounts": _changed_accounts(loaded.accounts, batch.accounts),
        "journal": [_journal_row(row, digest) for row, digest in batch.journal],
        "ledger": [ledger_row(row) for row in batch.ledger],
        "watermarks": _changed_watermarks(loaded.watermarks, batch.watermarks),
    }
    written = {"batch": orjson.dumps(document).decode()}
    try:
        if loaded.locked or batch.dead_letters:
            await _save_in_steps(connection, batch, written)
        else:
            await connection.execute(_SQL["commit"], written | {"channel": CHANNEL, "payloads": list(notices(batch))})
    except psycopg.errors.UniqueViolation as error:
        if not loaded.locked:
            raise OutdatedError(str(error)) from error
        if error.diag.constraint_name == "account_pkey":
            raise NewAccountError(str(error)) from error
        raise
    except psycopg.Error as error:
        if error.sqlstate == LOST_RACE:
            raise (LostRaceError if loaded.locked else OutdatedError)(str(error)) from error
        raise


async def _save_in_steps(connection: Connection, batch: Batch, written: Mapping[str, str]) -> None:
    """In the transaction that `begin` opened, or with dead letters, which are too much for one document."""
    async with connection.pipeline():
        if not batch.loaded.locked:
            await connection.execute(b"BEGIN")
        await connection.execute(_SQL["save"], written)
        for record, parked in batch.dead_letters:
            await connection.execute(_SQL["insert_dead_letter"], dead_letter_row(record, parked))
        await connection.execute(b"COMMIT")
        for payload in notices(batch):
            await connection.execute(_SQL["notify"], {"channel": CHANNEL, "payload": payload})


async def uncleared_base_units(connection: Connection, key: AccountKey) -> int:
    """The sum of the account's allocations that are reserved and not cleared."""
    cursor = await connection.execute(_SQL["uncleared"], {"connection_id": key[0], "currency": key[1]})
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


def state_of(row: Sequence[Any]) -> State:
    """The state of a row: its columns in the order of ALLOCATION_COLUMNS, with instants as ISO text."""
    if row[2] == "tombstone":
        return Tombstone(row[0], Kind(row[1]), datetime.fromisoformat(row[11]))
    return Allocation(
        allocation_id=row[0],
        kind=Kind(row[1]),
        status=Status(row[2]),
        version=row[3],
        amount=Amount.model_construct(currency=row[4], quantity=row[5]),
        client_id=row[6],
        connection_id=row[7],
        partners_connection_id=row[8],
        partner_allocation_id=row[9],
        edition=Edition.model_validate(row[10]),
        created_at=datetime.fromisoformat(row[11]),
        updated_at=datetime.fromisoformat(row[12]),
        rejection_reason=Rejection(row[13]) if row[13] else None,
        policy_result=row[14],
        decided_by=row[15],
        reissued_at=datetime.fromisoformat(row[16]) if row[16] else None,
        extras=Extras(*row[17:]),
    )


def _new_allocations(before: Mapping[str, State], after: Mapping[str, State]) -> list[dict[str, Any]]:
    return [allocation_row(state) for key, state in after.items() if state is not None and before.get(key) is None]


def _changed_allocations(before: Mapping[str, State], after: Mapping[str, State]) -> list[dict[str, Any]]:
    rows = []
    for key, state in after.items():
        loaded = before.get(key)
        if isinstance(state, Allocation) and isinstance(loaded, Allocation) and state is not loaded:
            rows.append(allocation_row(state) | {"version_before": loaded.version})
    return rows


def allocation_row(state: Allocation | Tombstone) -> dict[str, Any]:
    """The row of a state; its values, in order, are what `state_of` reads."""
    if isinstance(state, Tombstone):
        created = state.created_at.isoformat()
        return dict.fromkeys(ALLOCATION_COLUMNS) | {
            "allocation_id": state.allocation_id,
            "kind": state.kind,
            "status": "tombstone",
            "version": 0,
            "created_at": created,
            "updated_at": created,
        }
    return {
        "allocation_id": state.allocation_id,
        "kind": state.kind,
        "status": state.status,
        "version": state.version,
        "currency": state.amount.currency,
        "quantity": state.amount.quantity,
        "client_id": state.client_id,
        "connection_id": state.connection_id,
        "partners_connection_id": state.partners_connection_id,
        "partner_allocation_id": state.partner_allocation_id,
        "edition": state.edition.model_dump(by_alias=True),
        "created_at": state.created_at.isoformat(),
        "updated_at": state.updated_at.isoformat(),
        "rejection_reason": state.rejection_reason,
        "policy_result": state.policy_result,
        "decided_by": state.decided_by,
        "reissued_at": _iso(state.reissued_at),
        **state.extras.columns(),
    }


def _changed_accounts(
    before: Mapping[AccountKey, Account], after: Mapping[AccountKey, Account]
) -> list[dict[str, Any]]:
    """In the order in which everybody locks accounts: nobody waits in a circle."""
    return [
        account_row(account) | {"sequence_before": before[key].sequence}
        for key, account in sorted(after.items())
        if key in before and account is not before[key]
    ]


def account_row(account: Account) -> dict[str, Any]:
    return {
        "connection_id": account.connection_id,
        "currency": account.currency,
        "sequence": account.sequence,
        "available": str(account.available),
        "held": str(account.held),
    }


def _journal_row(row: JournalRow, digest: bytes) -> dict[str, Any]:
    return row.columns() | {"traceparent": row.traceparent, "hash": digest.hex()}


def ledger_row(row: LedgerRow) -> dict[str, Any]:
    return {
        "partition": row.partition,
        "offset": row.offset,
        "connection_id": row.account[0],
        "currency": row.account[1],
        "debit": row.movement.debit,
        "credit": row.movement.credit,
        "quantity": str(row.movement.quantity),
    }


def _changed_watermarks(before: Mapping[int, Watermark], after: Mapping[int, Watermark]) -> list[dict[str, Any]]:
    return [
        {
            "partition": partition,
            "offset_before": before[partition].next_offset,
            "next_offset": mark.next_offset,
            "hash": mark.hash.hex(),
        }
        for partition, mark in after.items()
        if mark.next_offset != before[partition].next_offset
    ]


def dead_letter_row(record: Record, parked: Parked) -> dict[str, Any]:
    return {
        "partition": record.partition,
        "offset": record.offset,
        "reason": parked.reason,
        "key": record.key,
        "value": record.value,
        "header_names": [header_name_bytes(name) for name, _ in record.headers],
        "header_values": [value for _, value in record.headers],
        "recorded_at": record.recorded_at,
    }


def _iso(value: datetime | None) -> str | None:
    return value.isoformat() if value else None
