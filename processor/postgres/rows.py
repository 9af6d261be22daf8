"""Conversion between decided batches and table rows, both ways. Pure."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime
from typing import Any, Final

from processor.domain.account import Account, AccountKey
from processor.domain.adjustment import Adjustment
from processor.domain.batch import Batch, LedgerRow, Parked, Record
from processor.domain.connection import Connection, PlatformAccount
from processor.domain.journal import TOMBSTONE, JournalRow
from processor.domain.machine import Allocation, Extras, State, Tombstone
from processor.domain.rows import Watermark
from processor.domain.usage import Usage, UsageKey
from schemas.commands import Amount, Edition, Entry
from schemas.records import header_name_bytes
from schemas.words import ConnectionStatus, Kind, Scope, Status, Subject

ALLOCATION_COLUMNS: Final = (
    *("allocation_id", "kind", "status", "version", "currency", "quantity", "client_id", "connection_id"),
    *("partners_connection_id", "partner_allocation_id", "edition", "created_at", "updated_at", "rejection_reason"),
    *("policy_result", "decided_by", "reissued_at", "release_cause"),
    *Extras._fields,
)


def changes(batch: Batch) -> dict[str, Any]:
    """A batch as `commit_batch` takes it: new rows, changed rows, and what must be as it was."""
    loaded, platform, usages = batch.loaded, _platform_changes(batch), _usage_changes(batch)
    return {
        "new_allocations": _new_allocations(loaded.states, batch.states),
        "changed_allocations": _changed_allocations(loaded.states, batch.states),
        "new_accounts": [account_row(account) for key, account in batch.accounts.items() if key not in loaded.accounts],
        "changed_accounts": _changed_accounts(loaded.accounts, batch.accounts),
        "journal": [_journal_row(row, digest) for row, digest in batch.journal],
        "ledger": [ledger_row(row) for row in batch.ledger],
        "dead_letters": [_hexadecimal(dead_letter_row(record, parked)) for record, parked in batch.dead_letters],
        "watermarks": _changed_watermarks(loaded.watermarks, batch.watermarks),
        "absent_ids": _absent_ids(batch, frozenset(Kind)),
        **({"platform": platform} if any(platform.values()) else {}),
        **({"usages": usages} if any(usages.values()) else {}),
    }


def _platform_changes(batch: Batch) -> dict[str, list[Any]]:
    """As `save_platform` takes them."""
    loaded = batch.loaded
    return {
        "new_adjustments": [
            adjustment_row(each) for key, each in batch.adjustments.items() if key not in loaded.adjustments
        ],
        "new_connections": [
            connection_row(each) for key, each in batch.connections.items() if key not in loaded.connections
        ],
        "changed_connections": [
            connection_row(each) | {"version_before": loaded.connections[key].version}
            for key, each in sorted(batch.connections.items(), key=_active_last)
            if key in loaded.connections and each is not loaded.connections[key]
        ],
        "new_platform_accounts": [
            each._asdict() for key, each in batch.platform_accounts.items() if key not in loaded.platform_accounts
        ],
        "changed_platform_accounts": [
            each._asdict() | {"sequence_before": loaded.platform_accounts[key].sequence}
            for key, each in sorted(batch.platform_accounts.items())
            if key in loaded.platform_accounts and each is not loaded.platform_accounts[key]
        ],
        "read_connections": _read_connections(batch),
        "absent_adjustments": _absent_ids(batch, {Subject.ADJUSTMENT}),
    }


def _active_last(item: tuple[str, Connection]) -> bool:
    """So that an account that changes its connection is free before it is connected anew. The tables may still take
    them in another order and refuse the batch: then it is applied record by record.
    """
    return item[1].status == "active"


def _usage_changes(batch: Batch) -> dict[str, list[Any]]:
    """As `save_usages` takes them."""
    loaded = batch.loaded
    return {
        "new_usages": [usage_row(each) for key, each in batch.usages.items() if key not in loaded.usages],
        "changed_usages": [
            usage_row(each) | {"sequence_before": loaded.usages[key].sequence}
            for key, each in sorted(batch.usages.items())
            if key in loaded.usages and each is not loaded.usages[key]
        ],
    }


def state_of(row: Mapping[str, Any]) -> State:
    """The state of a row: its columns by name, with quantity and instants as text."""
    if row["status"] == TOMBSTONE:
        return Tombstone(row["allocation_id"], Kind(row["kind"]), datetime.fromisoformat(row["created_at"]))
    return Allocation(
        allocation_id=row["allocation_id"],
        kind=Kind(row["kind"]),
        status=Status(row["status"]),
        version=row["version"],
        amount=Amount.model_construct(currency=row["currency"], quantity=row["quantity"]),
        client_id=row["client_id"],
        connection_id=row["connection_id"],
        partners_connection_id=row["partners_connection_id"],
        partner_allocation_id=row["partner_allocation_id"],
        edition=Edition.of_row(row["edition"]),
        created_at=datetime.fromisoformat(row["created_at"]),
        updated_at=datetime.fromisoformat(row["updated_at"]),
        rejection_reason=row["rejection_reason"],
        policy_result=row["policy_result"],
        decided_by=row["decided_by"],
        reissued_at=datetime.fromisoformat(row["reissued_at"]) if row["reissued_at"] else None,
        release_cause=row["release_cause"],
        extras=Extras(*(row[name] for name in Extras._fields)),
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
    """The row of a state, its columns in the order of ALLOCATION_COLUMNS; `state_of` reads it back."""
    if isinstance(state, Tombstone):
        created = state.created_at.isoformat()
        return dict.fromkeys(ALLOCATION_COLUMNS) | {
            "allocation_id": state.allocation_id,
            "kind": state.kind,
            "status": TOMBSTONE,
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
        "release_cause": state.release_cause,
        **state.extras._asdict(),
    }


def _changed_accounts(
    before: Mapping[AccountKey, Account], after: Mapping[AccountKey, Account]
) -> list[dict[str, Any]]:
    """Sorted by code points, in Python as in SQL: all workers lock accounts in one order, so there is no deadlock."""
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
    return row.columns() | {"traceparent": row.traceparent, "hash": _hexadecimal(digest)}


def ledger_row(row: LedgerRow) -> dict[str, Any]:
    return {
        "partition": row.partition,
        "offset": row.offset,
        "connection_id": row.account[0],
        "currency": row.account[1],
        "sequence": row.sequence,
        "debit": row.movement.debit,
        "credit": row.movement.credit,
        "quantity": str(row.movement.quantity),
    }


def _changed_watermarks(before: Mapping[int, Watermark], after: Mapping[int, Watermark]) -> list[dict[str, Any]]:
    return [
        {
            "partition": partition,
            "offset_before": before[partition].next_offset,
            "hash_before": _hexadecimal(before[partition].hash),
            "next_offset": mark.next_offset,
            "hash": _hexadecimal(mark.hash),
        }
        for partition, mark in after.items()
        if mark.next_offset != before[partition].next_offset
    ]


def _absent_ids(batch: Batch, kinds: AbstractSet[str]) -> list[str]:
    """Ids without a row before and after the batch: decisions rested on their absence."""
    return sorted(
        {
            row.subject_id
            for row, _ in batch.journal
            if row.subject_id and row.status_after is None and row.kind in kinds
        }
    )


def _read_connections(batch: Batch) -> list[dict[str, Any]]:
    """Connections that policy read and that the batch did not change; version 0 stands for none."""
    before = batch.loaded.connections
    return [
        {"connection_id": key, "version": before[key].version if key in before else 0}
        for key in sorted(batch.read_connections)
        if batch.connections.get(key) is before.get(key)
    ]


def adjustment_row(adjustment: Adjustment) -> dict[str, Any]:
    """`adjustment_of_row` reads it back."""
    return adjustment._asdict() | {
        "entries": [entry.model_dump() for entry in adjustment.entries],
        "created_at": adjustment.created_at.isoformat(),
    }


def adjustment_of_row(row: Mapping[str, Any]) -> Adjustment:
    return Adjustment(
        **{
            **row,
            "entries": tuple(Entry.model_validate(entry) for entry in row["entries"]),
            "created_at": datetime.fromisoformat(row["created_at"]),
        }
    )


def connection_row(connection: Connection) -> dict[str, Any]:
    """`connection_of_row` reads it back."""
    return connection._asdict() | {
        "created_at": connection.created_at.isoformat(),
        "updated_at": connection.updated_at.isoformat(),
    }


def connection_of_row(row: Mapping[str, Any]) -> Connection:
    return Connection(
        **{
            **row,
            "status": ConnectionStatus(row["status"]),
            "created_at": datetime.fromisoformat(row["created_at"]),
            "updated_at": datetime.fromisoformat(row["updated_at"]),
        }
    )


def platform_account_of_row(row: Mapping[str, Any]) -> PlatformAccount:
    return PlatformAccount(**row)


def usage_row(usage: Usage) -> dict[str, Any]:
    return {
        **usage.key._asdict(),
        "day": usage.key.day.isoformat(),
        "sequence": usage.sequence,
        "total": str(usage.total),
    }


def usage_of_row(row: Sequence[Any]) -> Usage:
    """Scope, id, kind, currency, day, sequence and total, as text where JSON has no type for it."""
    scope, owner, kind, currency, day, sequence, total = row
    return Usage(UsageKey(Scope(scope), owner, Kind(kind), currency, date.fromisoformat(day)), sequence, int(total))


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


def _hexadecimal(value: Any) -> Any:
    """A value, or a row's values, with bytes and timestamps as text that Postgres parses."""
    match value:
        case bytes():
            return f"\\x{value.hex()}"
        case datetime():
            return value.isoformat()
        case dict():
            return {name: _hexadecimal(each) for name, each in value.items()}
        case list():
            return [_hexadecimal(each) for each in value]
        case _:
            return value


def _iso(value: datetime | None) -> str | None:
    return value.isoformat() if value else None
