"""BitGo's read shape: one allocation or deallocation, and the list (contract, section 5)."""

from typing import Any, Final, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.alias_generators import to_camel

from ingress.app_keys import ACCESS, LISTS, ROWS, SETTINGS, SLOTS, SUBMISSION
from ingress.http.problems import ProblemError, bad_request, not_found, unavailable
from ingress.http.requests import path_id
from ingress.postgres.database import Connection
from ingress.postgres.rows import AllocationRow, allocation_row
from schemas.answers import ReadAllocation, ReadAmount
from schemas.fields import Currency, NonEmptyText, Uuid, utc_milliseconds
from schemas.words import Kind, Status
from service.errors import UnavailableError
from service.sql import statements

PAGE_SIZE_MAX: Final = 500
PAGE_NUMBER_MAX: Final = 1_000_000
FILTER_MAX_VALUES: Final = 1000

WHY_STILL_RESERVED: Final = "waiting for BitGo to clear or release it"
RELEASED_BY_BITGO: Final = "released by BitGo"
EXPIRED: Final = "expired: BitGo neither cleared nor released it in time"

FILTERS: Final = {"allocation_ids", "types", "statuses", "currencies", "connection_ids", "client_ids", "partner_ids"}

_SQL: Final = statements("ingress.postgres")
_ORDER: Final[dict[tuple[str, str], bytes]] = {
    ("id", "ASC"): b"ORDER BY allocation.allocation_id",
    ("id", "DESC"): b"ORDER BY allocation.allocation_id DESC",
    ("updatedAt", "ASC"): b"ORDER BY updated_at, created_at, allocation.allocation_id",
    ("updatedAt", "DESC"): b"ORDER BY updated_at DESC, created_at, allocation.allocation_id",
    ("quantity", "ASC"): b"ORDER BY allocation.quantity, created_at, allocation.allocation_id",
    ("quantity", "DESC"): b"ORDER BY allocation.quantity DESC, created_at, allocation.allocation_id",
}


class ListQuery(BaseModel):
    """The list's filters, sort and page. Filters are comma-separated; absent means all. Nothing else (section 11)."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, extra="forbid")

    allocation_ids: list[Uuid] | None = None
    types: list[Kind] | None = None
    statuses: list[Literal["reserved", "cleared", "released"]] | None = None
    currencies: list[Currency] | None = None
    connection_ids: list[Uuid] | None = None
    client_ids: list[Uuid] | None = None
    partner_ids: list[NonEmptyText] | None = None
    page_number: int = Field(0, ge=0, le=PAGE_NUMBER_MAX)
    page_size: int = Field(100, ge=1, le=PAGE_SIZE_MAX)
    sort_field: Literal["id", "updatedAt", "quantity"] = "updatedAt"
    sort_direction: Literal["ASC", "DESC"] = "ASC"

    @field_validator(*FILTERS, mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        values = str(value).split(",")
        if len(values) > FILTER_MAX_VALUES:
            raise ValueError(f"names more than {FILTER_MAX_VALUES} values")
        return values

    @field_validator("page_number", "page_size", mode="before")
    @classmethod
    def _digits(cls, value: Any) -> Any:
        if isinstance(value, str) and not (value.isascii() and value.isdigit() and len(value) < 10):  # noqa: PLR2004
            raise ValueError("must be a number")
        return value


async def get_allocation(request: web.Request) -> web.Response:
    caller = request.app[ACCESS].reader(request)
    deadline = request.app[SUBMISSION].deadline()
    with request.app[SLOTS]:
        _check_enterprise(request)
        allocation_id = path_id(request, Kind.ALLOCATION)
        await request.app[ACCESS].claim(caller, deadline)
        try:
            row = await request.app[ROWS].allocation(allocation_id)
        except UnavailableError as error:
            raise unavailable("the tables do not answer") from error
        if row is None:
            raise not_found()
        return web.json_response({"allocation": read_shape(row)})


async def list_allocations(request: web.Request) -> web.Response:
    caller = request.app[ACCESS].reader(request)
    deadline = request.app[SUBMISSION].deadline()
    with request.app[SLOTS]:
        _check_enterprise(request)
        query = query_of(request)
        await request.app[ACCESS].claim(caller, deadline)
        partner_id = request.app[SETTINGS].partner_id
        try:
            rows = await request.app[LISTS].run(lambda connection: _load(connection, query, partner_id))
        except UnavailableError as error:
            raise unavailable("the tables do not answer") from error
        return web.json_response({"allocations": [read_shape(row) for row in rows]})


def _check_enterprise(request: web.Request) -> None:
    if request.match_info["enterpriseId"] != request.app[SETTINGS].enterprise_id:
        raise ProblemError(404, "not_found", "there is no such enterprise")


def query_of(request: web.Request) -> ListQuery:
    values: dict[str, str] = {}
    for name in request.query:
        given = request.query.getall(name)
        if len(given) > 1 and not name.endswith("s"):
            raise bad_request([(name, "must be given once")])
        values[name] = ",".join(given)
    try:
        return ListQuery.model_validate(values)
    except ValidationError as error:
        raise bad_request([(str(each["loc"][0]), each["msg"]) for each in error.errors()]) from None


async def _load(connection: Connection, query: ListQuery, partner_id: str | None) -> list[AllocationRow]:
    filters = query.model_dump(mode="json", include=FILTERS)
    if partner_id in (query.partner_ids or []):
        filters["partner_ids"] = None
    filters["statuses"] = _stored_statuses(filters["statuses"])
    page = {"page_size": query.page_size, "offset": query.page_number * query.page_size}
    order = _ORDER[query.sort_field, query.sort_direction]
    cursor = await connection.execute(_SQL["list_allocations"].replace(b"-- order", order), filters | page)
    return [allocation_row(row) for (row,) in await cursor.fetchall()]


def _stored_statuses(statuses: list[str] | None) -> list[str] | None:
    """`released` includes what we call rejected, which BitGo does not know."""
    if statuses is None:
        return None
    return [*statuses, Status.REJECTED] if Status.RELEASED in statuses else statuses


def read_shape(row: AllocationRow) -> dict[str, Any]:
    """An allocation in BitGo's read shape; answers validate against BitGo's own schema."""
    reserved, cleared = row.status == Status.RESERVED, row.status == Status.CLEARED
    evaluated_by = row.evaluation_id or (row.decided_by if row.policy_result else None)
    return ReadAllocation(
        id=row.allocation_id,
        amount=ReadAmount(currency=row.content.currency, quantity=row.content.quantity),
        connection_id=row.content.connection_id,
        client_external_id=row.client_external_id or row.allocation_id,
        partner_external_id=row.content.partner_allocation_id,
        initiated_by=row.initiated_by or row.content.client_id,
        notes=row.notes,
        created_at=utc_milliseconds(row.created_at),
        updated_at=utc_milliseconds(row.updated_at),
        retriable=reserved,
        evaluation_id=evaluated_by,
        pending_approval_id=row.pending_approval_id,
        policy_result=row.policy_result,
        reason=WHY_STILL_RESERVED if reserved else None if cleared else row.rejection_reason or _released_by(row),
        status="reserved" if reserved else "cleared" if cleared else "released",
        type=row.kind,
    ).document()


def _released_by(row: AllocationRow) -> str:
    return EXPIRED if row.release_cause == "expiry" else RELEASED_BY_BITGO
