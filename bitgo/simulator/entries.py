"""What stands in BitGo's ledger, how a status may change, and what each contributes to a balance."""

import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from schemas.words import Kind

LedgerStatus = Literal["pending", "reserved", "rejected", "cleared", "released"]

NEXT: Final[Mapping[str, frozenset[str]]] = {
    "pending": frozenset({"reserved", "rejected", "cleared", "released"}),
    "reserved": frozenset({"cleared", "released"}),
    "rejected": frozenset(),
    "cleared": frozenset(),
    "released": frozenset({"pending", "rejected"}),
}
"""From pending to cleared: an asynchronous partner's report. From released: a re-issue, or what the partner had said
to the reserve that BitGo gave up."""


@dataclass(frozen=True)
class Connection:
    connection_id: str
    client_id: str
    partner_id: str
    partners_connection_id: str
    partners_client_id: str
    status: str
    client_wallet_id: str | None = None
    created_at: int = 0
    updated_at: int = 0


@dataclass(frozen=True)
class Allocation:
    """Of either kind; times in milliseconds since 1970."""

    allocation_id: str
    kind: Kind
    connection_id: str
    currency: str
    quantity: int
    status: LedgerStatus
    reason: str | None
    partner_allocation_id: str | None
    client_external_id: str | None
    initiated_by: str | None
    notes: str | None
    deferred: bool
    version: int
    created_at: int
    updated_at: int


@dataclass(frozen=True)
class Balance:
    available: int
    held: int


def movement(kind: Kind, before: str, after: str, quantity: int) -> tuple[int, int]:
    """What a transition adds to (available, held)."""
    old, new = effect(kind, before, quantity), effect(kind, after, quantity)
    return new[0] - old[0], new[1] - old[1]


def effect(kind: Kind, status: str, quantity: int) -> tuple[int, int]:
    """What an allocation in a status contributes to (available, held)."""
    if kind is Kind.ALLOCATION:
        return (quantity, 0) if status == "cleared" else (0, 0)
    if status == "reserved":
        return -quantity, quantity
    return (-quantity, 0) if status == "cleared" else (0, 0)


def allocation_of(row: sqlite3.Row) -> Allocation:
    values = dict(row)
    return Allocation(
        **values
        | {"kind": Kind(values["kind"]), "quantity": int(values["quantity"]), "deferred": bool(values["deferred"])}
    )


def now_milliseconds() -> int:
    return time.time_ns() // 1_000_000
