"""What the tables hold of a batch: rows from what was decided, and a state from its row. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from processor.account import Account, AccountKey
from processor.batch import Batch, LedgerRow, Parked, Record, Watermark
from processor.journal import JournalRow
from processor.machine import Allocation, Extras, State, Tombstone
from schemas.commands import Amount, Edition
from schemas.records import header_name_bytes
from schemas.words import Kind, Rejection, Status

ALLOCATION_COLUMNS: Final = (
    *("allocation_id", "kind", "status", "version", "currency", "quantity", "client_id", "connection_id"),
    *("partners_connection_id", "partner_allocation_id", "edition", "created_at", "updated_at", "rejection_reason"),
    *("policy_result", "decided_by", "reissued_at"),
    *Extras._fields,
)


def changes(batch: Batch) -> dict[str, list[dict[str, Any]]]:
    """All that a batch changes but dead letters, as `save_batch` takes it: what is new, and what is not as before."""
    loaded = batch.loaded
    return {
        "new_allocations": _new_allocations(loaded.states, batch.states),
        "changed_allocations": _changed_allocations(loaded.states, batch.states),
        "new_accounts": [account_row(account) for key, account in batch.accounts.items() if key not in loaded.accounts],
        "changed_accounts": _changed_accounts(loaded.accounts, batch.accounts),
        "journal": [_journal_row(row, digest) for row, digest in batch.journal],
        "ledger": [ledger_row(row) for row in batch.ledger],
        "watermarks": _changed_watermarks(loaded.watermarks, batch.watermarks),
    }


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
        **state.extras._asdict(),
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
