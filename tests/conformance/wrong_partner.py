"""A partner in memory that is right by default, and wrong in one way for each fault: what the kit must find.

It shares the project's models of bodies, and nothing else of the product: no Kafka, no Postgres, no ingress.
"""

import asyncio
import traceback
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from pydantic import ValidationError

from schemas import strict_json
from schemas.fields import NonEmptyText, Uuid, utc_milliseconds
from schemas.http import RESERVE_BODIES, Body, ReserveBody
from tests.conformance.partner_answers import chosen, is_uuid, read_shape, write_shape
from tests.conformance.partner_tokens import verified_jti

ENTERPRISE = "enterprise-1"
LIMIT = 10**15
"""Of the currency LIMITED: more is rejected."""
PATIENCE = 0.3
"""Seconds in which requests that are sent at once have all arrived."""


class RefusedError(Exception):
    def __init__(self, status: int) -> None:
        self.status = status


def now() -> str:
    return utc_milliseconds(datetime.now(UTC))


class ConnectionBody(Body):
    client_id: Uuid
    connection_id: Uuid
    connection_token: NonEmptyText


@dataclass
class Row:
    kind: str
    body: ReserveBody
    status: str
    reason: str | None
    created: str
    updated: str


@dataclass
class WrongPartner:
    key: RSAPublicKey
    faults: frozenset[str] = frozenset()
    connection_tokens: set[str] = field(default_factory=set)
    reissue: frozenset[str] = frozenset({"deallocation"})
    rows: dict[Any, Row] = field(default_factory=dict)
    tombstones: set[str] = field(default_factory=set)
    available: defaultdict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    used: set[str] = field(default_factory=set)
    connected: dict[str, dict[str, Any]] = field(default_factory=dict)

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self.answer], client_max_size=2**20)
        for kind in ("allocation", "deallocation"):
            app.router.add_post(f"/bitgo/v1/{kind}s", partial(self.reserve, kind=kind))
            path = f"/bitgo/v1/{kind}/{{id}}/{{verb:clear|release}}"
            app.router.add_put(path, partial(self.finish, kind=kind))
        app.router.add_post("/bitgo/v1/connections", self.connect)
        partners = "/api/network/v1/enterprises/{enterprise}/partners/allocations"
        app.router.add_get(partners, self.read_list)
        app.router.add_get(f"{partners}/{{id}}", self.read_one)
        return app

    @web.middleware
    async def answer(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if "silent" in self.faults and request.method != "GET":
            await asyncio.sleep(3600)
        try:
            return await handler(request)
        except RefusedError as refused:
            status = refused.status
        except web.HTTPException as error:
            status = error.status
        except Exception:  # noqa: BLE001 - what it is for
            return web.Response(status=500, text=traceback.format_exc())
        is_empty = request.path.startswith("/api/network") and status == 400
        return web.json_response({} if is_empty else {"error": f"refused with {status}"}, status=status)

    def authorize(self, request: web.Request) -> None:
        try:
            jti = verified_jti(request.headers.get("X-BitGo-Signature", ""), self.key, self.faults)
        except ValueError:
            raise RefusedError(401) from None
        if jti in self.used and "accepts a used jti" not in self.faults:
            raise RefusedError(401)
        self.used.add(jti)

    async def document(self, request: web.Request, model: Any) -> Any:
        if request.content_type != "application/json":
            raise RefusedError(415)
        raw = await self.bounded(request)
        if "500 with a stack trace" in self.faults and raw.count(b"{") > 100:
            raise RecursionError("too deep")
        try:
            document = strict_json.loads(raw)
            if "null is refused" in self.faults and isinstance(document, dict) and None in document.values():
                raise RefusedError(400)
            return model.model_validate(document)
        except (strict_json.NotJsonError, ValidationError):
            raise RefusedError(400) from None

    async def bounded(self, request: web.Request) -> bytes:
        if (request.content_length or 0) > 64 * 1024:
            raise RefusedError(413)
        return await request.read()

    async def reserve(self, request: web.Request, kind: str) -> web.Response:
        self.authorize(request)
        body: ReserveBody = await self.document(request, RESERVE_BODIES[kind])  # type: ignore[index]
        key = self.row_key(kind, body.id)
        if body.id in self.tombstones:
            raise RefusedError(409)
        row = self.rows.get(key)
        if row is not None:
            self.check_same(row, kind, body)
            if row.status == "cleared" and kind not in self.reissue:
                raise RefusedError(400 if "400 for a conflict" in self.faults else 409)
            if row.status == "released" and kind not in self.reissue:
                raise RefusedError(409)
            if row.status != "released" and not (row.status == "rejected" and "decides again" in self.faults):
                return self.answered(row, body)
        at = now()
        row = self.rows[key] = Row(kind, body, "reserved", None, row.created if row else at, at)
        await self.decide(row)
        return self.answered(row, body)

    def row_key(self, kind: str, of_id: str) -> Any:
        return (kind, of_id) if "accepts the other kind's id" in self.faults else of_id

    def check_same(self, row: Row, kind: str, body: ReserveBody) -> None:
        same = self.content(row.body) == self.content(body) or "ignores other content" in self.faults
        if row.kind != kind or not same:
            raise RefusedError(409)

    def content(self, body: ReserveBody) -> tuple[Any, ...]:
        account = (body.client_id, body.connection_id, body.partners_connection_id)
        return (self.quantity(body), body.amount.currency, *account)

    async def decide(self, row: Row) -> None:
        account, quantity = (row.body.connection_id, row.body.amount.currency), self.quantity(row.body)
        if row.kind == "allocation":
            if row.body.amount.currency == "LIMITED" and quantity > LIMIT:
                row.status, row.reason = "rejected", "limit_exceeded"
            elif "credits at reserve" in self.faults:
                self.available[account] += quantity
            return
        available = self.available[account]
        if "loses a race for a balance" in self.faults:
            await asyncio.sleep(PATIENCE)
        if available < quantity:
            row.status, row.reason = "rejected", "insufficient_balance"
        else:
            self.available[account] = available - quantity

    def quantity(self, body: ReserveBody) -> int:
        value = body.amount.quantity.base_units
        return int(float(value)) if "float quantities" in self.faults else value

    async def finish(self, request: web.Request, kind: str) -> web.Response:
        self.authorize(request)
        of_id, verb = request.match_info["id"].lower(), request.match_info["verb"]
        await self.bounded(request)
        if not is_uuid(of_id):
            raise RefusedError(400)
        if (kind, verb) == ("deallocation", "release") and "slow" in self.faults:
            await asyncio.sleep(2.5)
        row = self.rows.get(self.row_key(kind, of_id))
        if row is None or row.kind != kind:
            if row is None and verb == "release" and "forgets the tombstone" not in self.faults:
                self.tombstones.add(of_id)
            raise RefusedError(400 if "400 for an unknown id" in self.faults else 404)
        wanted = "cleared" if verb == "clear" else "released"
        if row.status == wanted and not (verb == "clear" and "credits every clear" in self.faults):
            return self.answered(row, row.body)
        if row.status not in ("reserved", wanted) and (row.status, wanted) != ("rejected", "released"):
            raise RefusedError(409)
        if row.status != "rejected":
            if "clear and release both win" in self.faults:
                await asyncio.sleep(PATIENCE)
            self.move(row, wanted)
        return self.answered(row, row.body)

    def move(self, row: Row, wanted: str) -> None:
        credited = ("allocation", "cleared"), ("deallocation", "released")
        account, quantity = (row.body.connection_id, row.body.amount.currency), self.quantity(row.body)
        if "credits at reserve" in self.faults and row.kind == "allocation":
            self.available[account] -= quantity if wanted == "released" else 0
        elif (row.kind, wanted) in credited:
            self.available[account] += quantity
        row.status, row.updated = wanted, now()

    def answered(self, row: Row, body: ReserveBody) -> web.Response:
        return web.json_response(write_shape(row, body, self.quantity(row.body), self.faults))

    def network(self, request: web.Request) -> None:
        self.authorize(request)
        if request.match_info["enterprise"] != ENTERPRISE:
            raise RefusedError(404)

    async def read_one(self, request: web.Request) -> web.Response:
        self.network(request)
        of_id = request.match_info["id"].lower()
        if not is_uuid(of_id):
            raise RefusedError(400)
        row = next((row for row in self.rows.values() if row.body.id == of_id), None)
        if row is None:
            raise RefusedError(404)
        return web.json_response({"allocation": read_shape(row, self.faults)})

    async def read_list(self, request: web.Request) -> web.Response:
        self.network(request)
        try:
            found = chosen([read_shape(row, self.faults) for row in self.rows.values()], request.query, self.faults)
        except ValueError:
            raise RefusedError(400) from None
        return web.json_response({"allocations": found})

    async def connect(self, request: web.Request) -> web.Response:
        self.authorize(request)
        sent = await self.document(request, ConnectionBody)
        known = self.connected.get(sent.connection_id)
        if known is not None:
            if (known["clientId"], known["token"]) != (sent.client_id, sent.connection_token):
                raise RefusedError(409)
        elif sent.connection_token not in self.connection_tokens:
            raise RefusedError(403)
        if "accepts a connection token again" not in self.faults:
            self.connection_tokens.discard(sent.connection_token)
        self.connected[sent.connection_id] = {"clientId": sent.client_id, "token": sent.connection_token}
        ids = {"clientId": sent.client_id, "connectionId": sent.connection_id}
        return web.json_response(ids | {"partnersClientId": "client-7", "partnersConnectionId": "account-7"})
