"""What operators read under /platform/v1: connections, balances, ledgers, histories, open reservations.

Quantities are strings of base units, instants are of the log's records. What has no value is absent, never null.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from schemas.answers import Answer
from schemas.fields import utc_milliseconds
from schemas.words import Kind, Outcome, Subject

BaseUnits = Annotated[str, Field(description="base units")]
Cursor = Annotated[str, Field(description="where the next page starts, as `after`; absent on the last page")]
Time = Annotated[
    str,
    BeforeValidator(lambda value: utc_milliseconds(datetime.fromisoformat(value) if isinstance(value, str) else value)),
    Field(json_schema_extra={"format": "date-time"}),
]


class LogPositions(Answer):
    """A position in each partition of a topic."""

    topic: str
    positions: Annotated[dict[int, int], Field(description="partition → offset")]


class ConnectionNow(Answer):
    connection_id: str
    status: Literal["active", "inactive"]
    version: int
    client_id: str
    client_wallet_id: str | None = None
    partner_id: str | None = None
    partners_client_id: str
    partners_connection_id: str
    created_at: Time
    updated_at: Time


class ConnectionList(Answer):
    connections: list[ConnectionNow]
    next: Cursor | None = None


class Hold(Answer):
    deallocation_id: str
    quantity: BaseUnits
    reserved_at: Time


class OpenHolds(Answer):
    """The deallocations that are reserved. `quantity` is the sum of all, and equals `held`."""

    count: int
    quantity: BaseUnits
    oldest: Annotated[list[Hold], Field(description="the oldest first; all of them, up to a limit")]


class AccountNow(Answer):
    connection_id: str
    currency: str
    available: BaseUnits
    held: BaseUnits
    sequence: Annotated[int, Field(description="decisions that read or moved this account")]
    open_holds: OpenHolds | None = None


class AccountList(Answer):
    """`as_of`: the next offset of each partition at the instant at which all of this held."""

    as_of: LogPositions
    accounts: list[AccountNow]
    next: Cursor | None = None


class SubjectOfEntry(Answer):
    """What moved the balance: the verb of a command on an allocation, a deallocation or an adjustment."""

    kind: Kind | Subject
    id: str
    verb: str


class LedgerEntry(Answer):
    """One movement, with the balances after it.

    `missing_before`: entries before this one were pruned, because its balances do not follow from those that the entry
    before it left, or from zero if it is the first.
    """

    sequence: int
    at: Time
    debit: str
    credit: str
    quantity: BaseUnits
    available_change: Annotated[str, Field(description="signed base units")]
    held_change: Annotated[str, Field(description="signed base units")]
    available: Annotated[str, Field(description="base units, after the movement")]
    held: Annotated[str, Field(description="base units, after the movement")]
    missing_before: bool
    subject: SubjectOfEntry
    reason: Annotated[str | None, Field(description="of an adjustment")] = None
    command_id: str
    position: str


class LedgerPage(Answer):
    """The oldest entry first. `pruned_before`: entries of records before these positions may be gone."""

    connection_id: str
    currency: str
    entries: list[LedgerEntry]
    next: Cursor | None = None
    pruned_before: LogPositions | None = None


class AmountNow(Answer):
    currency: str
    quantity: BaseUnits


class AllocationNow(Answer):
    """An allocation or a deallocation; of a tombstone, only what a release before the reserve leaves."""

    allocation_id: str
    kind: Kind
    status: Literal["reserved", "rejected", "cleared", "released", "tombstone"]
    version: int
    amount: AmountNow | None = None
    client_id: str | None = None
    connection_id: str | None = None
    partners_connection_id: str | None = None
    partner_allocation_id: str | None = None
    partner_client_id: str | None = None
    client_external_id: str | None = None
    initiated_by: str | None = None
    notes: str | None = None
    evaluation_id: str | None = None
    pending_approval_id: str | None = None
    rejection_reason: str | None = None
    policy_result: Literal["approved", "rejected"] | None = None
    decided_by: Annotated[str | None, Field(description="the command that opened it, or opened it again")] = None
    release_cause: str | None = None
    created_at: Time
    updated_at: Time
    reissued_at: Time | None = None


class EntryNow(Answer):
    currency: str
    quantity: Annotated[str, Field(description="signed base units")]


class AdjustmentNow(Answer):
    adjustment_id: str
    connection_id: str
    reason: str
    entries: list[EntryNow]
    created_at: Time


class StateThen(Answer):
    status: str
    version: int


class HistoryEntry(Answer):
    """One command on an id, and what became of it. `before` and `after` are absent when there was nothing."""

    position: str
    at: Time
    command_id: str
    kind: Kind | Subject
    verb: str
    outcome: Outcome
    reason: str | None = None
    before: StateThen | None = None
    after: StateThen | None = None
    event: dict[str, Any] | None = None
    facts: dict[str, Any] | None = None
    traceparent: str | None = None


class History(Answer):
    """All commands on an id, the oldest first. `pruned_before`: commands before this position may be gone.

    `current` is absent when there is nothing of that id, and never was, or nothing but refused commands.
    """

    id: str
    current: AllocationNow | ConnectionNow | AdjustmentNow | None = None
    commands: list[HistoryEntry]
    next: Cursor | None = None
    pruned_before: LogPositions | None = None


class OpenReservation(Answer):
    id: str
    kind: Kind
    amount: AmountNow
    client_id: str
    connection_id: str
    partners_connection_id: str
    version: int
    reserved_at: Annotated[Time, Field(description="when it was reserved, or reserved again")]
    age_seconds: Annotated[int, Field(description="by the database's clock")]


class ReservationList(Answer):
    """The oldest first."""

    reservations: list[OpenReservation]
    next: Cursor | None = None
