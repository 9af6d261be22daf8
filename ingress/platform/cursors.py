"""Where a page of a list ended. Opaque to callers; what comes back is checked, and is a parameter of a statement."""

import base64
from datetime import datetime
from typing import Annotated, Any, Final, Generic, NamedTuple, TypeVar

import orjson
from pydantic import Field, TypeAdapter, ValidationError

from schemas.events import Balance
from schemas.fields import Currency, Instant, Uuid

MAX_CHARACTERS: Final = 600
OFFSET_MAX: Final = 2**63 - 1

Number = Annotated[int, Field(strict=True, ge=0, le=OFFSET_MAX)]
V = TypeVar("V", bound=tuple[Any, ...])


class AfterConnection(NamedTuple):
    connection_id: Uuid


class AfterAccount(NamedTuple):
    currency: Currency


class AfterEntry(NamedTuple):
    """The entry's place in its account's ledger, and the balances that it left."""

    sequence: Number
    available: Balance
    held: Balance


class AfterCommand(NamedTuple):
    offset: Number


class AfterReservation(NamedTuple):
    reserved_at: Instant
    allocation_id: Uuid


class Cursors(Generic[V]):
    """The cursors of one kind of list."""

    def __init__(self, name: str, place: type[V]) -> None:
        self._name = name
        self._place = place
        self._adapter = TypeAdapter(place)

    def text(self, place: V) -> str:
        values = [_plain(value) for value in place]
        return base64.urlsafe_b64encode(orjson.dumps([self._name, *values])).decode().rstrip("=")

    def place(self, text: Any) -> V:
        """Raises ValueError for what `text` did not write."""
        if isinstance(text, self._place):
            return text
        try:
            name, *values = orjson.loads(_decoded(text))
            found = self._adapter.validate_python(tuple(values))
        except (ValueError, TypeError, ValidationError):
            raise ValueError("is no cursor of this list") from None
        if name != self._name or self.text(found) != text:
            raise ValueError("is no cursor of this list")
        return found


def _decoded(text: Any) -> bytes:
    if not isinstance(text, str) or len(text) > MAX_CHARACTERS:
        raise ValueError
    return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)


def _plain(value: Any) -> Any:
    return value.isoformat(timespec="microseconds") if isinstance(value, datetime) else value


CONNECTIONS: Final = Cursors("connections", AfterConnection)
ACCOUNTS: Final = Cursors("accounts", AfterAccount)
LEDGER: Final = Cursors("ledger", AfterEntry)
HISTORY: Final = Cursors("history", AfterCommand)
RESERVATIONS: Final = Cursors("reservations", AfterReservation)
