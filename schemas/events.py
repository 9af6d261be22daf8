"""Events, as consumers read them from the events topic. Past participles; one per applied transition (decision 16)."""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field, PositiveInt

from schemas.commands import Amount, Edition, Wire
from schemas.fields import Instant, NonEmptyText, Text, Uuid
from schemas.words import Kind, Rejection, Status

EVENT_SCHEMA_VERSION: Final = 1
EVENT_SOURCE: Final = "/allocations"

Balance = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,119})$", strict=True)]
"""A balance in base units: up to 120 digits, because sums are longer than amounts (decision 6)."""


class PolicyFact(Wire):
    """What policy said and under which settings; absent when no rule was evaluated."""

    verdict: Literal["approved", "rejected"]
    reason: Rejection | None = None
    settings_version: str


class AccountFact(Wire):
    """The account as the decision found it. `sequence` counts the decisions that read or moved it (decision 5)."""

    connection_id: Uuid
    currency: str
    sequence: PositiveInt
    available_before: Balance
    held_before: Balance


class Facts(Wire):
    """What a decision used that is not in the allocation's own history (decision 5)."""

    policy: PolicyFact | None = None
    account: AccountFact | None = None


class Event(Wire):
    """What every event says. `version` counts the transitions of one allocation, from 1."""

    kind: ClassVar[Kind]
    status: ClassVar[Status]

    schema_version: Literal[1] = EVENT_SCHEMA_VERSION
    allocation_id: Uuid
    version: PositiveInt
    occurred_at: Instant
    command_id: Uuid
    amount: Amount
    client_id: Uuid
    connection_id: Uuid
    partners_connection_id: NonEmptyText
    partner_allocation_id: NonEmptyText


class Opened(Event):
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
    rejection_reason: Rejection


class Cleared(Event):
    status = Status.CLEARED


class Released(Event):
    status = Status.RELEASED


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


AnyEvent = Annotated[
    AllocationReserved
    | AllocationRejected
    | AllocationCleared
    | AllocationReleased
    | DeallocationReserved
    | DeallocationRejected
    | DeallocationCleared
    | DeallocationReleased,
    Field(discriminator="event"),
]
