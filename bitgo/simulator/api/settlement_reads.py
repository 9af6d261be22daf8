"""`GET settlements`, `GET settlements/{settlementId}`, `GET settlement/disputes` (contract, section 10).

Chosen: lists are in the order of creation; the page of one settlement is a page of its transfers.
"""

import json
from typing import Annotated, Any

from aiohttp import web
from pydantic import BeforeValidator

from bitgo.simulator.api.app_keys import LEDGER, PARTNER, SETTLEMENTS
from bitgo.simulator.api.requests import Filter, Query, found, path_id, read_query
from bitgo.simulator.api.settlement_shapes import SQL, dispute_shapes, settlement_shape, transfer_shapes
from bitgo.simulator.settlements import Settlement
from bitgo.simulator.timestamps import Moment
from schemas.fields import Currency, NonEmptyText, Uuid


def _flag(value: Any) -> Any:
    if value not in ("true", "false", True, False):
        raise ValueError("must be true or false")
    return value in ("true", True)


Flag = Annotated[bool, BeforeValidator(_flag)]


class SettlementsQuery(Query):
    settlement_ids: Filter[Uuid] = None
    external_ids: Filter[NonEmptyText] = None
    partner_ids: Filter[Uuid] = None
    party_connection_ids: Filter[Uuid] = None
    counterparty_connection_ids: Filter[Uuid] = None
    only_show_disputed: Flag = False
    created_on_or_after: Moment | None = None
    created_before: Moment | None = None
    updated_on_or_after: Moment | None = None
    updated_before: Moment | None = None


class TransfersQuery(Query):
    currencies: Filter[Currency] = None
    source_network_account_ids: Filter[Uuid] = None
    source_trading_account_ids: Filter[NonEmptyText] = None
    destination_network_account_ids: Filter[Uuid] = None
    destination_trading_account_ids: Filter[NonEmptyText] = None


class DisputesQuery(Query):
    settlement_ids: Filter[Uuid] = None
    settled_in_settlement_ids: Filter[Uuid] = None
    settlement_external_ids: Filter[NonEmptyText] = None
    settled_in_settlement_external_ids: Filter[NonEmptyText] = None
    connection_ids: Filter[Uuid] = None
    client_ids: Filter[Uuid] = None
    partner_ids: Filter[Uuid] = None
    dispute_ids: Filter[Uuid] = None
    dispute_closure_ids: Filter[Uuid] = None
    closed: Flag | None = None
    show_retracted: Flag = False


async def list_settlements(request: web.Request) -> web.Response:
    query = read_query(request, SettlementsQuery)
    ledger, partner = request.app[LEDGER], request.app[PARTNER]
    parameters = query.parameters() | {"partner_id": partner.partner_id}
    rows = ledger.database.execute(SQL["list_settlements"], parameters).fetchall()
    return web.json_response(
        {"settlements": [settlement_shape(ledger, partner, Settlement(**dict(row))) for row in rows]}
    )


async def get_settlement(request: web.Request) -> web.Response:
    settlement_id = path_id(request, "settlementId")
    query = read_query(request, TransfersQuery)
    settlement = found(request.app[SETTLEMENTS].get(settlement_id), "settlement")
    ledger, partner, ids = request.app[LEDGER], request.app[PARTNER], json.dumps([settlement_id])
    return web.json_response(
        {
            "settlement": settlement_shape(ledger, partner, settlement),
            "settlementTransfers": transfer_shapes(ledger, partner, settlement_id=settlement_id, **query.parameters()),
            "settlingDisputes": dispute_shapes(ledger, partner, settled_in_settlement_ids=ids),
            "settlementDisputes": dispute_shapes(ledger, partner, settlement_ids=ids),
        }
    )


async def list_disputes(request: web.Request) -> web.Response:
    query = read_query(request, DisputesQuery)
    disputes = dispute_shapes(request.app[LEDGER], request.app[PARTNER], **query.parameters())
    return web.json_response({"disputes": disputes})
