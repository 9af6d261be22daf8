"""Events, as consumers read them from the events topic. Past participles; one per applied transition (decision 16)."""

from datetime import date
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from schemas.commands import Amount, Edition, Entry, Wire
from schemas.fields import Instant, NonEmptyText, PlugReason, Sha256, Text, Uuid
from schemas.words import Kind, Refusal, Rejection, Scope, Status

EVENT_SCHEMA_VERSION: Final = 1
EVENT_SOURCE: Final = "/allocations"

Balance = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,119})$", strict=True)]
"""A balance in base units: up to 120 digits, because sums are longer than amounts (decision 6)."""


class PlugFact(Wire):
    """What the platform's own policy said; `failed`: it was asked and did not answer as it must (docs/policy.md)."""

    verdict: Literal["approved", "rejected", "failed"]
    reason: PlugReason | None = None
    version: str


class PolicyFact(Wire):
    """What policy said and under which settings; absent when no rule was evaluated.

    `plug`: absent when none is configured, or a rule before it had rejected.
    """

    verdict: Literal["approved", "rejected"]
    reason: Rejection | PlugReason | None = None
    settings_version: str
    plug: PlugFact | None = None


class UsageFact(Wire):
    """The sum of what was reserved on a day (UTC), as the decision found it. `sequence` counts the decisions on it."""

    scope: Scope
    id: Uuid
    kind: Kind
    currency: str
    day: date
    sequence: PositiveInt
    total_before: Balance


class AccountFact(Wire):
    """The account as the decision found it. `sequence` counts the decisions that read or moved it (decision 5)."""

    connection_id: Uuid
    currency: str
    sequence: PositiveInt
    available_before: Balance
    held_before: Balance


class PlatformAccountFact(Wire):
    """The platform account as the decision found it. `sequence` counts the decisions that read or moved it.

    `connected_before`: the connection that was active on it. `token_used_before`: whether the token was spent.
    """

    partners_connection_id: NonEmptyText
    sequence: PositiveInt
    connected_before: Uuid | None = None
    token_used_before: bool = False


class Facts(Wire):
    """What a decision used that is not in its subject's own history (decision 5).

    `connection_version`: of the connection that a reserve named; 0 when there was none. `usage`: where a daily limit is
    configured.
    """

    policy: PolicyFact | None = None
    account: AccountFact | None = None
    accounts: tuple[AccountFact, ...] | None = None
    connection_version: NonNegativeInt | None = None
    platform_account: PlatformAccountFact | None = None
    usage: tuple[UsageFact, ...] | None = None

    @property
    def all_accounts(self) -> tuple[AccountFact, ...]:
        return self.accounts or ((self.account,) if self.account else ())


class Event(Wire):
    """What every event says. `version` counts the transitions of its subject, from 1."""

    schema_version: Literal[1] = EVENT_SCHEMA_VERSION
    version: NonNegativeInt
    occurred_at: Instant
    command_id: Uuid


class AllocationEvent(Event):
    kind: ClassVar[Kind]
    status: ClassVar[Status]

    allocation_id: Uuid
    version: PositiveInt
    amount: Amount
    client_id: Uuid
    connection_id: Uuid
    partners_connection_id: NonEmptyText
    partner_allocation_id: NonEmptyText


class Opened(AllocationEvent):
    """A reserve that policy decided. Carries all that the row needs and later events do not repeat."""

    partner_client_id: Text | None = None
    client_external_id: NonEmptyText | None = None
    initiated_by: NonEmptyText | None = None
    notes: NonEmptyText | None = None
    evaluation_id: NonEmptyText | None = None
    pending_approval_id: NonEmptyText | None = None
    policy_result: Literal["approved", "rejected"] | None = None
    edition: Edition


class Reserved(Opened):
    status = Status.RESERVED


class Rejected(Opened):
    status = Status.REJECTED
    rejection_reason: Rejection | PlugReason


class Cleared(AllocationEvent):
    status = Status.CLEARED


class Released(AllocationEvent):
    """`cause`: absent when BitGo released it."""

    status = Status.RELEASED
    cause: Literal["expiry"] | None = None


class AllocationReserved(Reserved):
    kind = Kind.ALLOCATION
    event: Literal["AllocationReserved"] = "AllocationReserved"


class AllocationRejected(Rejected):
    kind = Kind.ALLOCATION
    event: Literal["AllocationRejected"] = "AllocationRejected"


class AllocationCleared(Cleared):
    kind = Kind.ALLOCATION
    event: Literal["AllocationCleared"] = "AllocationCleared"


class AllocationReleased(Released):
    kind = Kind.ALLOCATION
    event: Literal["AllocationReleased"] = "AllocationReleased"


class DeallocationReserved(Reserved):
    kind = Kind.DEALLOCATION
    event: Literal["DeallocationReserved"] = "DeallocationReserved"


class DeallocationRejected(Rejected):
    kind = Kind.DEALLOCATION
    event: Literal["DeallocationRejected"] = "DeallocationRejected"


class DeallocationCleared(Cleared):
    kind = Kind.DEALLOCATION
    event: Literal["DeallocationCleared"] = "DeallocationCleared"


class DeallocationReleased(Released):
    kind = Kind.DEALLOCATION
    event: Literal["DeallocationReleased"] = "DeallocationReleased"


class ConnectionEvent(Event):
    connection_id: Uuid
    version: PositiveInt
    client_id: Uuid
    client_wallet_id: NonEmptyText | None = None
    partner_id: NonEmptyText | None = None
    partners_client_id: NonEmptyText
    partners_connection_id: NonEmptyText
    token_hash: Sha256


class ConnectionActivated(ConnectionEvent):
    """By BitGo with a token, as version 1; or again by the platform."""

    event: Literal["ConnectionActivated"] = "ConnectionActivated"


class ConnectionDeactivated(ConnectionEvent):
    event: Literal["ConnectionDeactivated"] = "ConnectionDeactivated"


class ConnectionRefused(Event):
    """Nothing changed, because of what other connections are: so the facts are kept (record 0022)."""

    event: Literal["ConnectionRefused"] = "ConnectionRefused"
    connection_id: Uuid
    reason: Refusal


class BalanceAdjusted(Event):
    event: Literal["BalanceAdjusted"] = "BalanceAdjusted"
    adjustment_id: Uuid
    version: PositiveInt
    connection_id: Uuid
    reason: NonEmptyText
    entries: tuple[Entry, ...]


class AdjustmentRefused(Event):
    """Nothing changed, because a balance would have fallen below zero: so the facts are kept (record 0022)."""

    event: Literal["AdjustmentRefused"] = "AdjustmentRefused"
    adjustment_id: Uuid
    connection_id: Uuid
    reason: Refusal


AnyEvent = Annotated[
    AllocationReserved
    | AllocationRejected
    | AllocationCleared
    | AllocationReleased
    | DeallocationReserved
    | DeallocationRejected
    | DeallocationCleared
    | DeallocationReleased
    | ConnectionActivated
    | ConnectionDeactivated
    | ConnectionRefused
    | BalanceAdjusted
    | AdjustmentRefused,
    Field(discriminator="event"),
]
