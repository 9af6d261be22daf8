"""`GET balances` (contract, section 7). Chosen: connections that the partner has not activated are not in it."""

from typing import Any

from aiohttp import web

from bitgo.simulator.api.app_keys import LEDGER, PARTNER
from bitgo.simulator.api.requests import no_query


async def get_balances(request: web.Request) -> web.Response:
    no_query(request)
    ledger, partner = request.app[LEDGER], request.app[PARTNER]
    network: dict[str, dict[str, Any]] = {
        each.connection_id: {
            "clientId": each.client_id,
            "partnerId": partner.partner_id,
            "partnersConnectionId": each.partners_connection_id,
            "balances": {},
        }
        for each in ledger.connections()
        if each.partners_connection_id
    }
    for (connection_id, currency), balance in ledger.balances().items():
        if connection_id in network:
            network[connection_id]["balances"][currency] = {
                "available": partner.amount(currency, balance.available),
                "held": partner.amount(currency, balance.held),
            }
    return web.json_response({"networkBalances": network})
