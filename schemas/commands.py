"""Commands, as they travel on the commands topic. Imperative names; what is asked, never what came of it."""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from schemas.fields import Currency, Digits, Instant, NonEmptyText, Text, Uuid
from schemas.words import AfterFinal, Kind, Verb

COMMAND_SCHEMA_VERSION: Final = 1


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


class Command(Wire):
    """What every command carries.

    `received_at` is the ingress's clock; a record appended after `deadline` changes nothing (decision 10).
    """

    kind: ClassVar[Kind]
    verb: ClassVar[Verb]

    schema_version: Literal[1] = COMMAND_SCHEMA_VERSION
    command_id: Uuid
    allocation_id: Uuid
    received_at: Instant
    deadline: Instant


class Reserve(Command):
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


class ClearAllocation(Command):
    kind = Kind.ALLOCATION
    verb = Verb.CLEAR
    command: Literal["ClearAllocation"] = "ClearAllocation"


class ClearDeallocation(Command):
    kind = Kind.DEALLOCATION
    verb = Verb.CLEAR
    command: Literal["ClearDeallocation"] = "ClearDeallocation"


class ReleaseAllocation(Command):
    kind = Kind.ALLOCATION
    verb = Verb.RELEASE
    command: Literal["ReleaseAllocation"] = "ReleaseAllocation"


class ReleaseDeallocation(Command):
    kind = Kind.DEALLOCATION
    verb = Verb.RELEASE
    command: Literal["ReleaseDeallocation"] = "ReleaseDeallocation"


AnyCommand = Annotated[
    ReserveAllocation
    | ReserveDeallocation
    | ClearAllocation
    | ClearDeallocation
    | ReleaseAllocation
    | ReleaseDeallocation,
    Field(discriminator="command"),
]

RESERVES: Final[dict[Kind, type[Reserve]]] = {
    command.kind: command for command in (ReserveAllocation, ReserveDeallocation)
}

FINISHES: Final[dict[tuple[Kind, Verb], type[Command]]] = {
    (command.kind, command.verb): command
    for command in (ClearAllocation, ClearDeallocation, ReleaseAllocation, ReleaseDeallocation)
}
