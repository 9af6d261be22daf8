"""Connections are activated before anything is ordered, when the scenario says so (contract, section 6)."""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import aiohttp

from bitgo.client import BitGo, Reply
from bitgo.simulator.client_orders import Account, ClientOrder
from bitgo.simulator.compare import UnreachableError
from bitgo.simulator.entries import Connection
from bitgo.simulator.judge import OK
from bitgo.simulator.ledger import Ledger
from bitgo.simulator.order_book import PARTNER_ID
from bitgo.simulator.scenario import Scenario

TOKENS_PATH: Final = "/platform/v1/connection-tokens"
CREATED: Final = 201
TOKENS_NAMESPACE: Final = uuid.UUID("6f1c1a52-6d4b-4d55-9a0e-0d6b6f2f7b10")


async def connected(
    orders: list[ClientOrder], scenario: Scenario, ledger: Ledger, bitgo: BitGo, operator_token: str | None = None
) -> list[ClientOrder]:
    """The orders under the names that the partner gave the connections. Raises UnreachableError.

    With a token of an operator of the partner's, which must be this product, every scenario connects first.
    """
    if not scenario.connect and operator_token is None:
        return orders
    given: dict[str, Account] = {}
    for account in dict.fromkeys(order.account for order in orders):
        given[account.connection_id] = await connected_account(account, ledger, bitgo, operator_token)
    return [replace(order, account=given[order.account.connection_id]) for order in orders]


async def connected_account(account: Account, ledger: Ledger, bitgo: BitGo, operator_token: str | None) -> Account:
    """The account under the partner's names, activated unless it is. Raises UnreachableError."""
    there = ledger.connection(account.connection_id)
    if there is None or there.status != "active" or operator_token is not None:
        ledger.add_connection(Connection(account.connection_id, account.client_id, PARTNER_ID, "", "", "pending"))
        body = await _activated(account, bitgo, operator_token)
        ledger.activate(account.connection_id, str(body["partnersClientId"]), str(body["partnersConnectionId"]))
        there = ledger.connection(account.connection_id)
    assert there is not None  # noqa: S101 - added above
    return Account(account.client_id, account.connection_id, there.partners_connection_id, there.partners_client_id)


def connection_token(account: Account) -> str:
    """The one-time secret that the platform would have given its user: one for each connection, known in advance."""
    return str(uuid.uuid5(TOKENS_NAMESPACE, account.connection_id))


async def _activated(account: Account, bitgo: BitGo, operator_token: str | None) -> Mapping[str, Any]:
    """As the partner answers it; a token that was issued before a kill is not needed again."""
    token = connection_token(account)
    if operator_token is not None:
        found = await _call(account, bitgo, "GET", f"{bitgo.base_path}/connections/{account.connection_id}")
        if found.status == OK:
            return dict(found.body)
        token = await _issued(account, bitgo, operator_token)
    asked = {
        "clientId": account.client_id,
        "connectionId": account.connection_id,
        "connectionToken": token,
        "partnerId": PARTNER_ID,
    }
    reply = await _call(account, bitgo, "POST", f"{bitgo.base_path}/connections", json=asked)
    if reply.status != OK or not isinstance(reply.body, dict):
        raise UnreachableError(
            f"connection {account.connection_id} was answered {reply.status}: "
            "a scenario with `connect` needs a partner that activates connections (contract, section 6)"
        )
    return reply.body


async def _issued(account: Account, bitgo: BitGo, operator_token: str) -> str:
    """A token of the platform's, for an account of its own there."""
    names = {
        "partnersConnectionId": f"simulator-{account.connection_id}",
        "partnersClientId": account.partners_client_id,
    }
    headers = {"Authorization": f"Bearer {operator_token}"}
    reply = await _call(account, bitgo, "POST", TOKENS_PATH, headers=headers, json=names)
    if reply.status != CREATED:
        raise UnreachableError(
            f"no connection token was issued: POST {TOKENS_PATH} was answered {reply.status}. "
            "Is it this product, and may that operator write?"
        )
    return str(reply.body["connectionToken"])


async def _call(account: Account, bitgo: BitGo, method: str, path: str, **options: Any) -> Reply:
    try:
        return await bitgo.call(method, path, **options)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise UnreachableError(f"connection {account.connection_id}: {error or type(error).__name__}") from error
