"""Commands, as they travel on the commands topic. Imperative names; what is asked, never what came of it."""

from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from schemas.fields import Currency, Digits, Instant, NonEmptyText, Sha256, SignedDigits, Text, Uuid
from schemas.words import AdjustmentVerb, AfterFinal, ConnectionVerb, Kind, Subject, Verb

COMMAND_SCHEMA_VERSION: Final = 1
ENTRIES_MAX: Final = 100
"""Of one adjustment."""


class Wire(BaseModel):
    """Immutable, camelCase on the wire, and nothing is ignored: a field we do not know is a newer version's."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Amount(Wire):
    currency: Currency
    quantity: Digits


class Edition(Wire):
    """How this caller spells its fields, so that it is answered in its own words (contract, section 2)."""

    client_id_spelling: Literal["partnerClientId", "partnersClientId"] = "partnerClientId"
    partner_id_spelling: Literal["partner", "partners"] = "partner"
    quantity_form: Literal["number", "string"] = "number"

    @classmethod
    def of_row(cls, document: Any) -> Self:
        """As it stands in a row, which a newer version may have written: a field that we do not know is left out.

        Raises ValueError for what is no edition.
        """
        return cls.model_validate(document, extra="ignore")


class Command(Wire):
    """What every command carries.

    `received_at` is the ingress's clock; a record appended after `deadline` changes nothing (decision 10).
    """

    kind: ClassVar[Kind | Subject]
    verb: ClassVar[Verb | ConnectionVerb | AdjustmentVerb]

    schema_version: Literal[1] = COMMAND_SCHEMA_VERSION
    command_id: Uuid
    received_at: Instant
    deadline: Instant

    @property
    def subject_id(self) -> str:
        """The id of what the command is about: the record's key."""
        raise NotImplementedError


class AllocationCommand(Command):
    kind: ClassVar[Kind]
    verb: ClassVar[Verb]

    allocation_id: Uuid

    @property
    def subject_id(self) -> str:
        return self.allocation_id


class Reserve(AllocationCommand):
    """Ask for a reservation. The first five fields, with the kind, are the content that a repeat must match."""

    verb = Verb.RESERVE

    amount: Amount
    client_id: Uuid
    connection_id: Uuid
    partners_connection_id: NonEmptyText
    partner_allocation_id: NonEmptyText | None = None
    partner_client_id: Text | None = None
    client_external_id: NonEmptyText | None = None
    initiated_by: NonEmptyText | None = None
    notes: NonEmptyText | None = None
    evaluation_id: NonEmptyText | None = None
    pending_approval_id: NonEmptyText | None = None
    edition: Edition
    after_final: AfterFinal


class ReserveAllocation(Reserve):
    kind = Kind.ALLOCATION
    command: Literal["ReserveAllocation"] = "ReserveAllocation"


class ReserveDeallocation(Reserve):
    kind = Kind.DEALLOCATION
    command: Literal["ReserveDeallocation"] = "ReserveDeallocation"


class ClearAllocation(AllocationCommand):
    kind = Kind.ALLOCATION
    verb = Verb.CLEAR
    command: Literal["ClearAllocation"] = "ClearAllocation"


class ClearDeallocation(AllocationCommand):
    kind = Kind.DEALLOCATION
    verb = Verb.CLEAR
    command: Literal["ClearDeallocation"] = "ClearDeallocation"


class Release(AllocationCommand):
    """`cause`: ours, when the platform gave the reservation up; absent when BitGo asked for it."""

    verb = Verb.RELEASE

    cause: Literal["expiry"] | None = None


class ReleaseAllocation(Release):
    kind = Kind.ALLOCATION
    command: Literal["ReleaseAllocation"] = "ReleaseAllocation"


class ReleaseDeallocation(Release):
    kind = Kind.DEALLOCATION
    command: Literal["ReleaseDeallocation"] = "ReleaseDeallocation"


class IssuedToken(Wire):
    """What the platform issued a connection token for, as the ingress found it by the token's hash."""

    partners_connection_id: NonEmptyText
    partners_client_id: NonEmptyText
    expires_at: Instant


class ConnectionCommand(Command):
    kind = Subject.CONNECTION

    connection_id: Uuid

    @property
    def subject_id(self) -> str:
        return self.connection_id


class ActivateConnection(ConnectionCommand):
    """Connect a client at BitGo to an account of the platform (contract, section 6).

    The token itself does not travel. `issued` is absent when nothing was issued under its hash, or it was revoked.
    """

    verb = ConnectionVerb.ACTIVATE
    command: Literal["ActivateConnection"] = "ActivateConnection"

    client_id: Uuid
    client_wallet_id: NonEmptyText | None = None
    partner_id: NonEmptyText | None = None
    token_hash: Sha256
    issued: IssuedToken | None = None


class DeactivateConnection(ConnectionCommand):
    verb = ConnectionVerb.DEACTIVATE
    command: Literal["DeactivateConnection"] = "DeactivateConnection"

    asked_by: NonEmptyText


class ReactivateConnection(ConnectionCommand):
    verb = ConnectionVerb.REACTIVATE
    command: Literal["ReactivateConnection"] = "ReactivateConnection"

    asked_by: NonEmptyText


class Entry(Wire):
    """A change of one balance, in base units; negative when the client lost it."""

    currency: Currency
    quantity: SignedDigits


class AdjustBalance(Command):
    """Move balances for trading (contract, section 9): all entries or none. Entries are sorted by currency."""

    kind = Subject.ADJUSTMENT
    verb = AdjustmentVerb.ADJUST
    command: Literal["AdjustBalance"] = "AdjustBalance"

    adjustment_id: Uuid
    connection_id: Uuid
    reason: NonEmptyText
    entries: Annotated[tuple[Entry, ...], Field(min_length=1, max_length=ENTRIES_MAX)]

    @property
    def subject_id(self) -> str:
        return self.adjustment_id

    @model_validator(mode="after")
    def _sorted(self) -> Self:
        currencies = [entry.currency for entry in self.entries]
        if currencies != sorted(set(currencies)):
            raise ValueError("entries must be sorted by currency, each named once")
        return self


AnyCommand = Annotated[
    ReserveAllocation
    | ReserveDeallocation
    | ClearAllocation
    | ClearDeallocation
    | ReleaseAllocation
    | ReleaseDeallocation
    | ActivateConnection
    | DeactivateConnection
    | ReactivateConnection
    | AdjustBalance,
    Field(discriminator="command"),
]

RESERVES: Final[dict[Kind, type[Reserve]]] = {
    command.kind: command for command in (ReserveAllocation, ReserveDeallocation)
}

FINISHES: Final[dict[tuple[Kind, Verb], type[AllocationCommand]]] = {
    (command.kind, command.verb): command
    for command in (ClearAllocation, ClearDeallocation, ReleaseAllocation, ReleaseDeallocation)
}
