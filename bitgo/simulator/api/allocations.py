"""`GET allocations` and `GET allocations/{allocationId}` (contract, sections 5 and 7)."""

from typing import Any, Final, Literal

from aiohttp import web

from bitgo.simulator.api.app_keys import LEDGER, PARTNER
from bitgo.simulator.api.read_shape import LEDGER_STATUSES, ReadStatus, read_shape
from bitgo.simulator.api.requests import Filter, Query, found, no_query, path_id, read_query, strict_list
from bitgo.simulator.entries import Allocation, allocation_of
from schemas.fields import Currency, Uuid
from schemas.words import Kind
from service.sql import statements

_LIST: Final = statements("bitgo.simulator")["list_allocations"].decode()
_COLUMNS: Final = {"id": "allocation_id", "updatedAt": "allocations.updated_at", "quantity": "length(quantity)"}


class AllocationsQuery(Query):
    allocation_ids: Filter[Uuid] = None
    types: Filter[Kind] = None
    statuses: Filter[ReadStatus] = None
    currencies: Filter[Currency] = None
    connection_ids: Filter[Uuid] = None
    client_ids: Filter[Uuid] = None
    partner_ids: Filter[Uuid] = None
    sort_field: Literal["id", "updatedAt", "quantity"] = "updatedAt"
    sort_direction: Literal["ASC", "DESC"] = "ASC"


async def list_allocations(request: web.Request) -> web.Response:
    query = read_query(request, AllocationsQuery)
    parameters = query.parameters() | {"partner_id": request.app[PARTNER].partner_id}
    if query.statuses is not None:
        parameters["statuses"] = strict_list([each for name in query.statuses for each in LEDGER_STATUSES[name]])
    statement = _LIST.replace("-- order", _order(query.sort_field, query.sort_direction))
    rows = request.app[LEDGER].database.execute(statement, parameters).fetchall()
    return web.json_response({"allocations": [_shape(request, allocation_of(row)) for row in rows]})


async def get_allocation(request: web.Request) -> web.Response:
    no_query(request)
    allocation = found(request.app[LEDGER].allocation(path_id(request, "allocationId")), "allocation")
    return web.json_response({"allocation": _shape(request, allocation)})


def _shape(request: web.Request, allocation: Allocation) -> dict[str, Any]:
    connection = found(request.app[LEDGER].connection(allocation.connection_id), "connection")
    is_deferred = allocation.deferred or request.app[PARTNER].is_asynchronous
    return read_shape(allocation, connection.client_id, is_deferred=is_deferred)


def _order(field: str, direction: str) -> str:
    """Quantities are digits without leading zeros, so the longer is the larger."""
    first = f"{_COLUMNS[field]} {direction}" + (f", quantity {direction}" if field == "quantity" else "")
    return f"ORDER BY {first}, allocations.created_at, allocation_id"
