"""The simulator's own endpoints, for this machine only: trouble, the end of a dispute window, and what clients dispute.

Amounts are in the partner's form, and gains of the connection when positive.
"""

from aiohttp import web
from pydantic import Field, ValidationError

from bitgo.simulator.api.app_keys import DISPUTES, LEDGER, PARTNER, SETTLEMENTS, TROUBLES
from bitgo.simulator.api.errors import bad_request
from bitgo.simulator.api.requests import Body, M, faults, found, no_query, path_id, read_json
from bitgo.simulator.api.settlement_requests import Amount
from bitgo.simulator.api.settlement_shapes import dispute_shape, settlement_shape
from bitgo.simulator.disputes import Dispute
from bitgo.simulator.settlements import Settlement
from bitgo.simulator.trouble import Trouble
from schemas.fields import Currency, NonEmptyText, Uuid


class Reason(Body):
    reason: NonEmptyText | None = None


class OpenDispute(Body):
    connection_id: Uuid
    reason: NonEmptyText | None = None
    expected_transfers: dict[Currency, Amount] = Field(default_factory=dict)


class CloseDispute(Body):
    notes: NonEmptyText = "closed by the simulator"
    transfers: dict[Currency, Amount] = Field(default_factory=dict)


async def get_overview(request: web.Request) -> web.Response:
    """What can be called here."""
    routes = sorted((each.resource.canonical, each.method) for each in request.app.router.routes() if each.resource)
    return web.json_response({"endpoints": [f"{method} {path}" for path, method in routes]})


async def get_trouble(request: web.Request) -> web.Response:
    return web.json_response({"waiting": request.app[TROUBLES].waiting()})


async def add_trouble(request: web.Request) -> web.Response:
    trouble = await _read(request, Trouble)
    try:
        request.app[TROUBLES].add(trouble)
    except ValueError as error:
        raise bad_request(str(error)) from None
    return await get_trouble(request)


async def clear_trouble(request: web.Request) -> web.Response:
    request.app[TROUBLES].clear()
    return await get_trouble(request)


async def finalize(request: web.Request) -> web.Response:
    """The end of the dispute window. A settlement that is not covered then has failed, and can be finalized again."""
    return _answer(request, request.app[SETTLEMENTS].finalize(_settlement_id(request)))


async def reject(request: web.Request) -> web.Response:
    settlement_id = _settlement_id(request)
    asked = await _read(request, Reason)
    return _answer(request, request.app[SETTLEMENTS].reject(settlement_id, asked.reason or "rejected by BitGo"))


async def open_dispute(request: web.Request) -> web.Response:
    settlement_id = _settlement_id(request)
    asked = await _read(request, OpenDispute)
    expected = _base_units(request, asked.expected_transfers)
    return _answer(request, request.app[DISPUTES].open(settlement_id, asked.connection_id, asked.reason, expected))


async def retract_dispute(request: web.Request) -> web.Response:
    dispute_id = _dispute_id(request)
    asked = await _read(request, Reason)
    return _answer(request, request.app[DISPUTES].retract(dispute_id, asked.reason))


async def close_dispute(request: web.Request) -> web.Response:
    """`transfers` are what joins the next settlement in place of what was disputed."""
    dispute_id = _dispute_id(request)
    asked = await _read(request, CloseDispute)
    return _answer(request, request.app[DISPUTES].close(dispute_id, asked.notes, _base_units(request, asked.transfers)))


async def _read(request: web.Request, model: type[M]) -> M:
    no_query(request)
    body, _ = await read_json(request)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise bad_request(faults(error)) from None


def _settlement_id(request: web.Request) -> str:
    settlement_id = path_id(request, "settlementId")
    return found(request.app[SETTLEMENTS].get(settlement_id), "settlement").settlement_id


def _dispute_id(request: web.Request) -> str:
    dispute_id = path_id(request, "disputeId")
    return found(request.app[DISPUTES].get(dispute_id), "dispute").dispute_id


def _base_units(request: web.Request, amounts: dict[str, str]) -> dict[str, int]:
    try:
        return {currency: request.app[PARTNER].base_units(currency, amount) for currency, amount in amounts.items()}
    except ValueError as error:
        raise bad_request(str(error)) from None


def _answer(request: web.Request, changed: Settlement | Dispute) -> web.Response:
    ledger, partner = request.app[LEDGER], request.app[PARTNER]
    if isinstance(changed, Settlement):
        return web.json_response({"settlement": settlement_shape(ledger, partner, changed)})
    return web.json_response({"dispute": dispute_shape(ledger, partner, changed)})
