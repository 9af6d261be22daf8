"""The bodies that BitGo sends: reserves (contract, section 2) and activations of connections (section 6)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from schemas.commands import Edition
from schemas.fields import TEXT_MAX_CHARACTERS, ConnectionToken, Currency, NonEmptyText, Text, Uuid
from schemas.quantity import read_quantity
from schemas.strict_json import NumberLiteral
from schemas.words import Kind


@dataclass(frozen=True, slots=True)
class Quantity:
    """A quantity in base units, and the form in which it came."""

    base_units: int
    form: Literal["number", "string"]


def _quantity(value: Any) -> Quantity:
    return Quantity(read_quantity(value), "number" if isinstance(value, NumberLiteral) else "string")


def _kept_text(value: Any) -> Any:
    """Known optional inputs are kept when they are non-empty strings; anything else is as good as absent."""
    return value if isinstance(value, str) and value else None


KeptText = Annotated[
    Text | None,
    BeforeValidator(_kept_text),
    WithJsonSchema({"maxLength": TEXT_MAX_CHARACTERS, "description": "kept when it is a non-empty string"}),
]

QuantityField = Annotated[
    Quantity,
    BeforeValidator(_quantity),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "exclusiveMaximum": 10**78},
                {"type": "string", "pattern": "^[1-9][0-9]{0,77}$"},
            ],
            "description": "base units; a number, or a string of digits",
        }
    ),
]


SentText = Annotated[
    Text | None,
    WithJsonSchema({"type": ["string", "null"], "maxLength": TEXT_MAX_CHARACTERS, "description": "null: as if absent"}),
]


class Body(BaseModel):
    """Unknown fields are ignored, because BitGo adds fields; they are never stored."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, arbitrary_types_allowed=True)


class AmountBody(Body):
    currency: Currency
    quantity: QuantityField


class ReserveBody(Body):
    """What both kinds of reserve have in common. Both spellings of a field may stand together when they agree."""

    kind: ClassVar[Kind]

    id: Uuid
    amount: AmountBody
    client_id: Uuid
    connection_id: Uuid
    partners_connection_id: NonEmptyText
    partner_id_singular: SentText = None
    partner_id_plural: SentText = None
    partner_client_id: SentText = None
    partners_client_id: SentText = None
    client_external_id: KeptText = None
    initiated_by: KeptText = None
    notes: KeptText = None
    evaluation_id: KeptText = None
    pending_approval_id: KeptText = None

    @field_validator("partner_id_plural", "partners_client_id")
    @classmethod
    def _agree(cls, value: str | None, info: ValidationInfo) -> str | None:
        other = {"partner_id_plural": "partner_id_singular", "partners_client_id": "partner_client_id"}[
            str(info.field_name)
        ]
        if value is not None and info.data.get(other) not in (None, value):
            raise ValueError(f"differs from {cls.model_fields[other].alias}")
        return value

    @property
    def partner_id(self) -> str | None:
        """BitGo's id for the record on our side; None when it is empty or absent, and we mint one."""
        return self.partner_id_singular or self.partner_id_plural or None

    @property
    def sent_client_id(self) -> str | None:
        return self.partners_client_id if self.partner_client_id is None else self.partner_client_id

    @property
    def edition(self) -> Edition:
        """How this request spells its fields; the field that it left out is taken to be spelled as the other."""
        client = _spelling(self.partner_client_id, self.partners_client_id)
        partner = _spelling(self.partner_id_singular, self.partner_id_plural)
        return Edition(
            client_id_spelling="partnersClientId" if (client or partner) == "partners" else "partnerClientId",
            partner_id_spelling=partner or client or "partner",
            quantity_form=self.amount.quantity.form,
        )


def _spelling(singular: str | None, plural: str | None) -> Literal["partner", "partners"] | None:
    if singular is not None:
        return "partner"
    return "partners" if plural is not None else None


class ReserveAllocationBody(ReserveBody):
    kind = Kind.ALLOCATION
    id: Uuid = Field(alias="allocationId")
    partner_id_singular: SentText = Field(None, alias="partnerAllocationId")
    partner_id_plural: SentText = Field(None, alias="partnersAllocationId")


class ReserveDeallocationBody(ReserveBody):
    kind = Kind.DEALLOCATION
    id: Uuid = Field(alias="deallocationId")
    partner_id_singular: SentText = Field(None, alias="partnerDeallocationId")
    partner_id_plural: SentText = Field(None, alias="partnersDeallocationId")


RESERVE_BODIES: Final[dict[Kind, type[ReserveBody]]] = {
    body.kind: body for body in (ReserveAllocationBody, ReserveDeallocationBody)
}


KEY_SCHEMA: Final = "token"
"""The one of BitGo's key schemas that is documented for this call (contract, section 6)."""
_OTHER_SCHEMAS_FIELDS: Final = ("apiKey", "apiSecret", "signature")


class ActivateBody(Body):
    """Connect a client at BitGo to the account of the platform that the token was given for."""

    client_id: Uuid
    client_wallet_id: SentText = None
    connection_id: Uuid
    connection_token: ConnectionToken = Field(repr=False)
    partner_id_camel: SentText = Field(None, alias="partnerId")
    partner_id_pascal: SentText = Field(None, alias="PartnerId")

    @model_validator(mode="before")
    @classmethod
    def _only_tokens(cls, document: Any) -> Any:
        if isinstance(document, dict) and (schema := _key_schema(document)) != KEY_SCHEMA:
            raise ValueError(
                f"of BitGo's key schemas only `{KEY_SCHEMA}` is known for this call, with a connectionToken; this is "
                f"{schema}"
            )
        return document

    @model_validator(mode="after")
    def _of_one_partner(self) -> Self:
        names = {name for name in (self.partner_id_camel, self.partner_id_pascal) if name is not None}
        if len(names) > 1:
            raise ValueError("PartnerId differs from partnerId")
        if not any(names):
            raise ValueError("partnerId (or PartnerId) is missing or empty")
        return self

    @property
    def partner_id(self) -> str:
        """BitGo's id for the platform."""
        return self.partner_id_camel or self.partner_id_pascal or ""


def _key_schema(document: Mapping[str, Any]) -> str:
    """The key schema that a body names, or whose fields it has."""
    nested = document.get("connectionKey")
    named = document.get("keySchema") or document.get("schema")
    if isinstance(nested, dict):
        named = named or nested.get("schema")
    if named is not None and named != KEY_SCHEMA:
        return "another" if not isinstance(named, str) or len(named) > TEXT_MAX_CHARACTERS else repr(named)
    return "another" if any(document.get(name) is not None for name in _OTHER_SCHEMAS_FIELDS) else KEY_SCHEMA
