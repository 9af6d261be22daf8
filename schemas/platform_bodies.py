"""The bodies that the platform's own people and programs send (contract, sections 6 and 9).

An unknown field is refused: it is a mistake, and not a newer edition of BitGo's.
"""

from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic.alias_generators import to_camel

from schemas.commands import ENTRIES_MAX
from schemas.fields import Currency, NonEmptyText, Uuid
from schemas.quantity import read_change
from schemas.strict_json import NumberLiteral

TOKEN_SECONDS: Final = 900
TOKEN_MAX_SECONDS: Final = 86_400
BATCH_MAX: Final = 1000
"""Adjustments in one request."""
BATCH_MAX_BYTES: Final = 4 * 1024 * 1024


class PlatformBody(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)


def _seconds(value: Any) -> Any:
    """Plain digits: a lifetime has no fraction and no exponent."""
    if isinstance(value, NumberLiteral) and value.text.isascii() and value.text.isdigit() and len(value.text) < 10:  # noqa: PLR2004
        return int(value.text)
    raise ValueError(f"must be a number of seconds from 1 to {TOKEN_MAX_SECONDS}")


class ConnectionTokenBody(PlatformBody):
    """Issue a one-time token to the user of an account of the platform."""

    partners_connection_id: NonEmptyText
    partners_client_id: NonEmptyText
    expires_in_seconds: Annotated[
        int,
        BeforeValidator(_seconds),
        Field(ge=1, le=TOKEN_MAX_SECONDS),
        WithJsonSchema({"type": "integer", "minimum": 1, "maximum": TOKEN_MAX_SECONDS, "default": TOKEN_SECONDS}),
    ] = TOKEN_SECONDS


Change = Annotated[
    int,
    BeforeValidator(read_change),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "exclusiveMinimum": -(10**78), "exclusiveMaximum": 10**78, "not": {"const": 0}},
                {"type": "string", "pattern": "^-?[1-9][0-9]{0,77}$"},
            ],
            "description": "signed base units, not 0; a number, or a string of digits",
        }
    ),
]


class EntryBody(PlatformBody):
    currency: Currency
    quantity: Change


class AdjustmentBody(PlatformBody):
    """Move balances for trading: all entries or none."""

    adjustment_id: Uuid
    connection_id: Uuid
    reason: NonEmptyText
    entries: Annotated[list[EntryBody], Field(min_length=1, max_length=ENTRIES_MAX)]

    @model_validator(mode="after")
    def _each_currency_once(self) -> Self:
        currencies = [entry.currency for entry in self.entries]
        if len(set(currencies)) < len(currencies):
            raise ValueError(f"entries name {max(currencies, key=currencies.count)} twice")
        return self


class AdjustmentBatchBody(PlatformBody):
    """Adjustments that are answered one by one. An element is read by itself: a wrong one stops no other."""

    adjustments: Annotated[
        list[Any],
        Field(min_length=1, max_length=BATCH_MAX),
        WithJsonSchema(
            {
                "type": "array",
                "minItems": 1,
                "maxItems": BATCH_MAX,
                "items": {"type": "object", "additionalProperties": True},
            }
        ),
    ]
