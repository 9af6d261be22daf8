"""Connections are activated before anything is ordered, when the scenario says so (contract, section 6)."""

import uuid
from dataclasses import replace
from typing import Final

import aiohttp

from bitgo.client import BitGo
from bitgo.simulator.client_orders import Account, ClientOrder
from bitgo.simulator.compare import UnreachableError
from bitgo.simulator.entries import Connection
from bitgo.simulator.judge import OK
from bitgo.simulator.ledger import Ledger
from bitgo.simulator.order_book import PARTNER_ID
from bitgo.simulator.scenario import Scenario

TOKENS_NAMESPACE: Final = uuid.UUID("6f1c1a52-6d4b-4d55-9a0e-0d6b6f2f7b10")


async def connected(orders: list[ClientOrder], scenario: Scenario, ledger: Ledger, bitgo: BitGo) -> list[ClientOrder]:
    """The orders under the names that the partner gave the connections. Raises UnreachableError."""
    if not scenario.connect:
        return orders
    given: dict[str, Account] = {}
    for account in dict.fromkeys(order.account for order in orders):
        given[account.connection_id] = await _activate(account, ledger, bitgo)
    return [replace(order, account=given[order.account.connection_id]) for order in orders]


def connection_token(account: Account) -> str:
    """The one-time secret that the platform would have given its user: one for each connection, known in advance."""
    return str(uuid.uuid5(TOKENS_NAMESPACE, account.connection_id))


async def _activate(account: Account, ledger: Ledger, bitgo: BitGo) -> Account:
    there = ledger.connection(account.connection_id)
    if there is None or there.status != "active":
        ledger.add_connection(Connection(account.connection_id, account.client_id, PARTNER_ID, "", "", "pending"))
        body = await _ask(account, bitgo)
        ledger.activate(account.connection_id, str(body["partnersClientId"]), str(body["partnersConnectionId"]))
        there = ledger.connection(account.connection_id)
    assert there is not None  # noqa: S101 - added above
    return Account(account.client_id, account.connection_id, there.partners_connection_id, there.partners_client_id)


async def _ask(account: Account, bitgo: BitGo) -> dict[str, object]:
    body = {
        "clientId": account.client_id,
        "connectionId": account.connection_id,
        "connectionToken": connection_token(account),
        "partnerId": PARTNER_ID,
    }
    try:
        reply = await bitgo.call("POST", f"{bitgo.base_path}/connections", json=body)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise UnreachableError(f"connection {account.connection_id}: {error or type(error).__name__}") from error
    if reply.status != OK or not isinstance(reply.body, dict):
        raise UnreachableError(
            f"connection {account.connection_id} was answered {reply.status}: "
            "a scenario with `connect` needs a partner that activates connections (contract, section 6)"
        )
    return reply.body
