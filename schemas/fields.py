"""The types of the contract's fields, and every limit on them (contract, section 2)."""

import re
import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, PlainSerializer, StringConstraints, WithJsonSchema

TEXT_MAX_CHARACTERS: Final = 256
CURRENCY_MAX_CHARACTERS: Final = 64
QUANTITY_MAX_DIGITS: Final = 78
BODY_MAX_BYTES: Final = 64 * 1024

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NOT_TEXT: Final = frozenset({"Cc", "Cs"})


def _uuid(value: Any) -> str:
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise ValueError("must be a UUID, 8-4-4-4-12")
    return value.lower()


def is_text(value: str) -> bool:
    """No control characters and no lone surrogates: what Kafka, Postgres and JSON all carry unharmed."""
    return value.isprintable() or not any(unicodedata.category(character) in _NOT_TEXT for character in value)


def _text(value: str) -> str:
    if not is_text(value):
        raise ValueError("must not contain control characters")
    return value


def _currency(value: str) -> str:
    if not value.isprintable() or " " in value:
        raise ValueError("must be printable characters without spaces")
    return value


def utc_milliseconds(value: datetime) -> str:
    """ISO 8601, UTC, milliseconds, `Z` (contract, section 5)."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Uuid = Annotated[
    str, BeforeValidator(_uuid), WithJsonSchema({"type": "string", "format": "uuid", "pattern": f"^{_UUID.pattern}$"})
]
"""A UUID in its 8-4-4-4-12 form: any case comes in, lower case goes out."""

Text = Annotated[str, StringConstraints(strict=True, max_length=TEXT_MAX_CHARACTERS), AfterValidator(_text)]
"""Up to 256 characters, possibly none; no control characters."""

NonEmptyText = Annotated[Text, StringConstraints(min_length=1)]

Currency = Annotated[
    str, StringConstraints(strict=True, min_length=1, max_length=CURRENCY_MAX_CHARACTERS), AfterValidator(_currency)
]

Digits = Annotated[str, StringConstraints(strict=True, pattern=r"^[1-9][0-9]{0,77}$")]
"""A quantity in base units as it travels between our own parts: plain digits, 1 to 10^78 - 1."""

Instant = Annotated[
    AwareDatetime,
    PlainSerializer(
        lambda value: value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"), return_type=str
    ),
]
"""An instant with its zone; written in UTC with microseconds."""
