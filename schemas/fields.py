"""The types of the contract's fields, and every limit on them (contract, section 2)."""

import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    AwareDatetime,
    GetCoreSchemaHandler,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import core_schema

TEXT_MAX_CHARACTERS: Final = 256
CONNECTION_TOKEN_MAX_CHARACTERS: Final = 4096
CURRENCY_MAX_CHARACTERS: Final = 64
QUANTITY_MAX_DIGITS: Final = 78
BODY_MAX_BYTES: Final = 64 * 1024

_UUID: Final = "^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
_NOT_TEXT: Final = frozenset({"Cc", "Cs"})


@dataclass(frozen=True)
class _Matches:
    """Whatever the type is, and all of it matches `pattern`; `message` is what the sender of anything else reads.

    Checked in pydantic's core: a record has a dozen such fields, and functions of ours cost more than all other rules.
    """

    pattern: str
    message: str
    to_lower: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        pattern = core_schema.str_schema(strict=True, pattern=self.pattern, to_lower=self.to_lower)
        custom = core_schema.custom_error_schema(pattern, "must_match", custom_error_message=self.message)
        return core_schema.chain_schema([handler(source), custom])


def is_text(value: str) -> bool:
    """No control characters and no lone surrogates: what Kafka, Postgres and JSON all carry unharmed."""
    return value.isprintable() or not any(unicodedata.category(character) in _NOT_TEXT for character in value)


def _currency(value: str) -> str:
    if not value.isprintable() or " " in value:
        raise ValueError("must be printable characters without spaces")
    return value


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be within the years 1 to 9999 in UTC") from None


def utc_milliseconds(value: datetime) -> str:
    """ISO 8601, UTC, milliseconds, `Z` (contract, section 5)."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Uuid = Annotated[
    str,
    _Matches(_UUID, "must be a UUID, 8-4-4-4-12", to_lower=True),
    WithJsonSchema({"type": "string", "format": "uuid", "pattern": _UUID}),
]
"""A UUID in its 8-4-4-4-12 form: any case comes in, lower case goes out."""

_NO_CONTROL: Final = _Matches(r"^\P{Cc}*$", "must not contain control characters")

Text = Annotated[
    str,
    StringConstraints(strict=True, max_length=TEXT_MAX_CHARACTERS),
    _NO_CONTROL,
    WithJsonSchema({"type": "string", "maxLength": TEXT_MAX_CHARACTERS}),
]
"""Up to 256 characters, possibly none; no control characters."""

NonEmptyText = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=TEXT_MAX_CHARACTERS),
    _NO_CONTROL,
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": TEXT_MAX_CHARACTERS}),
]

ConnectionToken = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=CONNECTION_TOKEN_MAX_CHARACTERS),
    _Matches(r"^[\P{Cc}\n]*$", "must not contain control characters other than newlines"),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": CONNECTION_TOKEN_MAX_CHARACTERS}),
]
"""A one-time secret, or its ciphertext in two lines (contract, section 6)."""

Currency = Annotated[
    str, StringConstraints(strict=True, min_length=1, max_length=CURRENCY_MAX_CHARACTERS), AfterValidator(_currency)
]

Digits = Annotated[str, StringConstraints(strict=True, pattern=r"^[1-9][0-9]{0,77}$")]
"""A quantity in base units as it travels between our own parts: plain digits, 1 to 10^78 - 1."""

SignedDigits = Annotated[str, StringConstraints(strict=True, pattern=r"^-?[1-9][0-9]{0,77}$")]
"""A change of a balance in base units: plain digits, with a minus when it becomes less; never 0."""

PLUG_REASON: Final = r"^[a-z_]{1,64}$"
PlugReason = Annotated[str, StringConstraints(strict=True, pattern=PLUG_REASON)]
"""Why a platform's own policy rejects: a word that is none of ours (docs/policy.md)."""

Sha256 = Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9a-f]{64}$")]

Instant = Annotated[
    AwareDatetime,
    AfterValidator(_in_utc),
    PlainSerializer(
        lambda value: value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"), return_type=str
    ),
]
"""An instant with its zone; written in UTC with microseconds."""
