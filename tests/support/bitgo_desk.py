"""BitGo's server over a ledger of its own, listening on loopback, and a partner that calls it."""

import io
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ec import SECP256K1, derive_private_key

from bitgo.simulator.entries import Connection
from bitgo.simulator.ledger import Ledger
from bitgo.simulator.ledger_check import check
from bitgo.simulator.partner import Partner
from bitgo.simulator.server import create_app, listening
from bitgo.simulator.settlements_check import check_settlements
from bitgo.simulator.signatures import sign
from bitgo.simulator.tokens import Permission, token
from schemas.words import Kind

ENTERPRISE = "enterprise-1"
PARTNER_ID = "aaaaaaaa-0000-4000-8000-000000000001"
KEY = derive_private_key(0x5EED, SECP256K1())
"""The partner's Go Account key."""
BOTH, READ, WRITE, NONE = "both-permissions", "only-read", "only-write", "no-permission"
TOKENS = [
    token(BOTH, name="operator"),
    token(READ, [Permission.READ]),
    token(WRITE, [Permission.WRITE]),
    token(NONE, []),
]


def partner(**fields: Any) -> Partner:
    return Partner(
        **{"enterprise_id": ENTERPRISE, "partner_id": PARTNER_ID, "go_account_key": KEY.public_key()} | fields
    )


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    headers: Mapping[str, str]


def signed(properties: Mapping[str, Any]) -> dict[str, Any]:
    """With payload and signature, as a platform in JavaScript makes them."""
    payload = json.dumps(properties, separators=(",", ":"), ensure_ascii=False)
    return dict(properties) | {"payload": payload, "signature": sign(KEY, payload)}


def settlement(amounts: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    """A signed request; None leaves a field out."""
    properties = {"externalId": str(uuid.uuid4()), "settlementAmounts": amounts, "nonce": str(uuid.uuid4())} | fields
    return signed({name: value for name, value in properties.items() if value is not None})


class Desk:
    def __init__(self, url: str, ledger: Ledger, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.ledger = ledger
        self._session = session

    async def call(
        self, method: str, path: str, body: Any = None, *, bearer: str | None = BOTH, **options: Any
    ) -> Answer:
        """`path` is below partners/, or absolute. A body of bytes goes as it is. Raises aiohttp.ClientError."""
        headers = {"Authorization": f"Bearer {bearer}"} if bearer is not None else {}
        if body is not None:
            headers |= {"Content-Type": "application/json"}
            options["data"] = io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
        headers |= options.pop("headers", {})
        url = path if path.startswith("/") else self.path(path)
        async with self._session.request(method, self.url + url, headers=headers, **options) as response:
            return Answer(response.status, await response.json(), dict(response.headers))

    def path(self, path: str) -> str:
        version, path = ("v2", path.removeprefix("v2/")) if path.startswith("v2/") else ("v1", path)
        return f"/api/network/{version}/enterprises/{ENTERPRISE}/partners/{path}"

    async def control(self, method: str, path: str, body: Any = None) -> Answer:
        return await self.call(method, f"/simulator/{path}", body, bearer=None)

    async def finalize(self, answer: Answer) -> Answer:
        return await self.control("POST", f"settlements/{answer.body['settlement']['id']}/finalize")

    async def settlement(self, settlement_id: str, **query: Any) -> dict[str, Any]:
        """One settlement as it is read."""
        answer = await self.call("GET", f"settlements/{settlement_id}", params=query)
        assert answer.status == 200, answer.headers
        body: dict[str, Any] = answer.body
        return body

    async def trouble(self, endpoint: str, answer: str, **fields: Any) -> None:
        reply = await self.control("POST", "trouble", {"endpoint": endpoint, "answer": answer} | fields)
        assert reply.status == 200, reply.body

    def connect(self, client_id: str | None = None, **fields: Any) -> str:
        """An active connection."""
        connection_id = str(uuid.uuid4())
        values = {
            "connection_id": connection_id,
            "client_id": client_id or str(uuid.uuid4()),
            "partner_id": PARTNER_ID,
            "partners_connection_id": f"account-{connection_id[:8]}",
            "partners_client_id": "client-1",
            "status": "active",
        }
        self.ledger.add_connection(Connection(**values | fields))
        return connection_id

    def order(self, kind: Kind, connection_id: str, quantity: int, currency: str = "BTC", **optional: Any) -> str:
        """A pending allocation or deallocation, whose outcome the partner reports."""
        allocation_id = str(uuid.uuid4())
        optional = {"deferred": 1} | optional
        self.ledger.add_allocation(kind, allocation_id, connection_id, currency, quantity, **optional)
        return allocation_id

    def fund(self, connection_id: str, quantity: int, currency: str = "BTC") -> str:
        allocation_id = self.order(Kind.ALLOCATION, connection_id, quantity, currency, deferred=0)
        self.ledger.set_status(allocation_id, "reserved", partner_allocation_id=f"partners-{allocation_id}")
        self.ledger.set_status(allocation_id, "cleared")
        return allocation_id

    def report(self, allocation_id: str, outcome: str, **fields: Any) -> dict[str, Any]:
        """What an asynchronous partner sends, signed; None leaves a field out."""
        allocation = self.ledger.allocation(allocation_id)
        assert allocation is not None
        connection = self.ledger.connection(allocation.connection_id)
        assert connection is not None
        properties = {
            f"{allocation.kind}Id": allocation_id,
            "amount": {"currency": allocation.currency, "quantity": str(allocation.quantity)},
            "clientId": connection.client_id,
            "connectionId": connection.connection_id,
            "partnersClientId": connection.partners_client_id,
            "partnersConnectionId": connection.partners_connection_id,
            f"partners{allocation.kind.capitalize()}Id": f"partners-{allocation_id}",
            "status": outcome,
            "rejectReason": "no" if outcome == "released" else None,
            "nonce": str(uuid.uuid4()),
        } | fields
        return signed({name: value for name, value in properties.items() if value is not None})

    def available(self, connection_id: str, currency: str = "BTC") -> int:
        return self.ledger.balance(connection_id, currency).available

    def contradictions(self) -> list[str]:
        return check(self.ledger) + check_settlements(self.ledger)


@asynccontextmanager
async def open_desk(file: Path, **options: Any) -> AsyncIterator[Desk]:
    """`options` are those of create_app, and fields of the partner as `configured`. At the end all must agree."""
    configured = options.pop("configured", {})
    with Ledger(file) as ledger:
        app: web.Application = create_app(ledger, partner(**configured), TOKENS, **options)
        async with listening(app, "127.0.0.1", 0) as url, aiohttp.ClientSession() as session:
            session._retry_connection = False  # what breaks off must be seen
            desk = Desk(url, ledger, session)
            yield desk
            assert [] == desk.contradictions()
