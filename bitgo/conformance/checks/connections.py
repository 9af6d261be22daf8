"""Activating a client's connection (contract, section 6)."""

import uuid
from typing import Any, Final

from bitgo.conformance import expect
from bitgo.conformance.check import Group, Need
from bitgo.conformance.expect import Expected
from bitgo.conformance.probe import JSON, Probe, encoded
from bitgo.conformance.sources import GUIDE_CONNECT
from bitgo.conformance.wire import Answer
from schemas.words import Kind

GROUP: Final = Group("connection", "Activating a connection", "6", GUIDE_CONNECT, (Need.CONNECTIONS,))
A: Final = Kind.ALLOCATION


def connection(probe: Probe, token: str) -> dict[str, Any]:
    return {
        "clientId": str(uuid.uuid4()),
        "connectionId": str(uuid.uuid4()),
        "connectionToken": token,
        "partnerId": probe.terms.partner_id,
    }


async def post(probe: Probe, body: dict[str, Any], expected: Expected, **options: Any) -> Answer:
    url = f"{probe.terms.url}{probe.terms.base_path}/connections"
    return await probe.send("POST", url, expected, headers=JSON, body=encoded(body), **options)


@GROUP.check(1, "an unknown token is 403")
async def unknown_token(probe: Probe) -> None:
    await post(probe, connection(probe, f"no-such-token-{uuid.uuid4()}"), expect.status(403))


@GROUP.check(2, "a request that BitGo did not sign is 401", section="4")
async def unauthorized(probe: Probe) -> None:
    await post(probe, connection(probe, "token"), expect.UNAUTHORIZED, signed_by_bitgo=False)


@GROUP.check(3, "a wrong body is 400")
async def wrong_body(probe: Probe) -> None:
    for name in ("clientId", "connectionId", "connectionToken"):
        whole = connection(probe, "token")
        await post(probe, {each: value for each, value in whole.items() if each != name}, expect.BAD_REQUEST)
    await post(probe, connection(probe, "token") | {"connectionId": "no UUID"}, expect.BAD_REQUEST)
    await post(probe, connection(probe, ""), expect.BAD_REQUEST)


@GROUP.check(4, "a token activates one connection, once, and reserves pass on it", needs=[Need.CONNECTION_TOKEN])
async def activated(probe: Probe) -> None:
    body = connection(probe, probe.terms.connection_tokens[0])
    answered = expect.status(200) & expect.text_member("partnersClientId")
    answered &= expect.text_member("partnersConnectionId")
    for name in ("clientId", "connectionId"):
        answered &= expect.member(name, equals=body[name])
    first = await post(probe, body, answered)
    same = {name: first.field(name) for name in ("partnersClientId", "partnersConnectionId")}
    alike = answered
    for name, value in same.items():
        alike &= expect.member(name, equals=value)
    await post(probe, body, alike)
    await post(probe, body | {"clientId": str(uuid.uuid4())}, expect.CONFLICT)
    await post(probe, body | {"connectionId": str(uuid.uuid4())}, expect.status(403))
    account = {name: body[name] for name in ("clientId", "connectionId")}
    reserve = probe.body(A, **account, partnersConnectionId=same["partnersConnectionId"], partnerClientId=None)
    reserve.pop("partnersClientId", None)
    await probe.reserve(A, reserve, expect.RESERVED)
