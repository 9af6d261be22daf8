"""What the reads for operators may be asked. A parameter that is unknown or given twice is refused."""

from typing import Annotated, Any, Final, Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, WithJsonSchema
from pydantic.alias_generators import to_camel

from ingress.http.problems import bad_request
from ingress.platform import cursors
from schemas.fields import Currency, NonEmptyText, Uuid
from schemas.words import Kind

PAGE_MAX: Final = 500
PAGE: Final = 100
CSV_MAX_ROWS: Final = 100_000
OLDER_THAN_MAX_SECONDS: Final = 1_000_000_000
DIGITS_MAX: Final = 10

Q = TypeVar("Q", bound=BaseModel)

_CURSOR: Final = WithJsonSchema({"type": "string", "minLength": 1, "maxLength": cursors.MAX_CHARACTERS})


def _digits(value: Any) -> Any:
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit() and len(value) <= DIGITS_MAX):
            raise ValueError("must be a number")
        return int(value)
    return value


Digits = BeforeValidator(_digits)
Limit = Annotated[int, Field(ge=1, le=PAGE_MAX), Digits]


class Query(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, extra="forbid")


class ConnectionsQuery(Query):
    partners_connection_id: NonEmptyText | None = None
    client_id: Uuid | None = None
    status: Literal["active", "inactive"] | None = None
    after: Annotated[cursors.AfterConnection | None, BeforeValidator(cursors.CONNECTIONS.place), _CURSOR] = None
    limit: Limit = PAGE


class AccountsQuery(Query):
    open_holds: Annotated[
        bool, BeforeValidator(lambda value: {"true": True, "false": False}.get(value, value)), Field(strict=True)
    ] = False
    after: Annotated[cursors.AfterAccount | None, BeforeValidator(cursors.ACCOUNTS.place), _CURSOR] = None
    limit: Limit = PAGE_MAX


class LedgerQuery(Query):
    """`limit` is of entries: up to 500 as JSON, and up to 100,000, its default, as CSV."""

    after: Annotated[cursors.AfterEntry | None, BeforeValidator(cursors.LEDGER.place), _CURSOR] = None
    limit: Annotated[int, Field(ge=1, le=CSV_MAX_ROWS), Digits] | None = None
    format: Literal["json", "csv"] | None = None


class HistoryQuery(Query):
    after: Annotated[cursors.AfterCommand | None, BeforeValidator(cursors.HISTORY.place), _CURSOR] = None
    limit: Limit = PAGE


class ReservationsQuery(Query):
    kind: Kind | None = None
    connection_id: Uuid | None = None
    older_than: Annotated[int, Field(ge=0, le=OLDER_THAN_MAX_SECONDS, description="seconds"), Digits] = 0
    after: Annotated[cursors.AfterReservation | None, BeforeValidator(cursors.RESERVATIONS.place), _CURSOR] = None
    limit: Limit = PAGE


class NoQuery(Query):
    pass


def query_of(request: web.Request, model: type[Q]) -> Q:
    """Raises ProblemError 400 with the parameters that are wrong."""
    if twice := sorted({name for name in request.query if len(request.query.getall(name)) > 1}):
        raise bad_request([(name, "is given more than once") for name in twice])
    try:
        return model.model_validate(dict(request.query))
    except ValidationError as error:
        raise bad_request(
            [
                (str(each["loc"][0]), each["msg"].removeprefix("Value error, "))
                for each in error.errors(include_url=False, include_context=False)
            ]
        ) from None


_ID: Final[TypeAdapter[str]] = TypeAdapter(Uuid)
_CURRENCY: Final[TypeAdapter[str]] = TypeAdapter(Currency)


def path_uuid(request: web.Request, name: str) -> str:
    """An id in the path, in lower case. Raises ProblemError 400."""
    return _in_path(request, name, _ID)


def path_currency(request: web.Request) -> str:
    return _in_path(request, "currency", _CURRENCY)


def _in_path(request: web.Request, name: str, adapter: TypeAdapter[str]) -> str:
    try:
        return adapter.validate_python(request.match_info[name])
    except ValidationError as error:
        raise bad_request([(name, error.errors()[0]["msg"].removeprefix("Value error, "))]) from None
