"""The platform's own people at an ingress: what they call with an operator's token."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bitgo.client import BitGo, Reply, activate_body, reserve_body
from schemas.words import Kind
from tests.support.system import System

PLATFORM = "/platform/v1"


def new_account() -> str:
    return f"account-{uuid.uuid4()}"


@dataclass(frozen=True)
class Operator:
    """Calls the ingress that `bitgo` calls, with the token of the system's operator."""

    system: System
    bitgo: BitGo

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {(self.system.folder / 'operator-token').read_text().strip()}"}

    async def call(self, method: str, path: str, **options: Any) -> Reply:
        headers = self.headers | options.pop("headers", {})
        return await self.bitgo.call(method, f"{PLATFORM}{path}", headers, **options)

    async def issue(self, account: str | None = None, **fields: Any) -> dict[str, Any]:
        """A new token, for a new account unless one is named, as it is answered."""
        account = account or new_account()
        body = {"partnersConnectionId": account, "partnersClientId": f"user of {account}"} | fields
        reply = await self.call("POST", "/connection-tokens", json=body)
        assert 201 == reply.status, reply.body
        issued: dict[str, Any] = reply.body
        return issued

    async def token(self, account: str | None = None) -> str:
        return str((await self.issue(account))["connectionToken"])

    async def connected(self, account: str | None = None) -> dict[str, str]:
        """An activated connection, as it is answered to BitGo."""
        reply = await self.bitgo.activate(activate_body(await self.token(account)))
        assert 200 == reply.status, reply.body
        connection: dict[str, str] = reply.body
        return connection

    async def change(self, word: str, connection_id: str, **headers: str) -> Reply:
        """`word`: deactivate or reactivate."""
        return await self.call("POST", f"/connections/{connection_id}/{word}", headers=headers)

    async def adjust(self, body: Mapping[str, Any], **headers: str) -> Reply:
        return await self.call("POST", "/adjustments", json=dict(body), headers=headers)


def on(connection: Mapping[str, str]) -> dict[str, str]:
    """The fields of a reserve on a connection."""
    names = ("clientId", "connectionId", "partnersConnectionId")
    return {name: connection[name] for name in names} | {"partnerClientId": connection["partnersClientId"]}


def adjustment_body(connection_id: str, changes: Mapping[str, int | str], **fields: Any) -> dict[str, Any]:
    """A new adjustment. `changes`: signed base units by currency."""
    return {
        "adjustmentId": str(uuid.uuid4()),
        "connectionId": connection_id,
        "reason": "trade",
        "entries": [{"currency": currency, "quantity": change} for currency, change in changes.items()],
    } | fields


async def fund(bitgo: BitGo, connection: Mapping[str, str], quantity: int, currency: str = "BTC") -> None:
    """Let the connection have `quantity` available."""
    body = reserve_body(Kind.ALLOCATION, quantity, currency=currency, **on(connection))
    reserved = await bitgo.reserve(Kind.ALLOCATION, body)
    assert (200, "reserved") == (reserved.status, reserved.body["status"]), reserved.body
    assert 200 == (await bitgo.clear(Kind.ALLOCATION, body["allocationId"])).status
