"""Who may call (contract, section 4): every bad token gets the same answer, and a good one counts once."""

import asyncio
import time
import uuid
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from bitgo.client import SIGNATURE, BitGo, reserve_body, sign
from schemas.words import Kind, Verb
from tests.endpoints.conftest import Site
from tests.support.system import ENTERPRISE

STRANGER = rsa.generate_private_key(65537, 2048)


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    document = {"iat": now, "exp": now + 55, "jti": str(uuid.uuid4())} | changes
    return {name: value for name, value in document.items() if value is not None}


BAD: dict[str, Callable[[BitGo], str]] = {
    "another key": lambda _: sign(STRANGER),
    "expired": lambda bitgo: jwt.encode(claims(exp=int(time.time()) - 10), bitgo.key, "RS256"),
    "no jti": lambda bitgo: jwt.encode(claims(jti=None), bitgo.key, "RS256"),
    "7,000 characters": lambda _: "x" * 7000,
    "empty": lambda _: "",
    "Latin-1": lambda _: "é" * 30,
}
"""Some of them: tests/ingress/test_signatures.py has all."""


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_token_gets_the_same_answer_on_every_endpoint(site: Site, case: str) -> None:
    body = reserve_body(Kind.ALLOCATION)
    partners = f"/api/network/v1/enterprises/{ENTERPRISE}/partners/allocations"
    missing = await site.bitgo.call("POST", "/bitgo/v1/allocations", {}, json=body)
    missing_read = await site.bitgo.call("GET", partners, {})
    assert (401, 401) == (missing.status, missing_read.status)
    headers = {SIGNATURE: BAD[case](site.bitgo)}
    for method, path, expected in (
        ("POST", "/bitgo/v1/allocations", missing.body),
        ("PUT", f"/bitgo/v1/allocation/{body['allocationId']}/clear", missing.body),
        ("GET", f"/bitgo/v1/deallocation/{body['allocationId']}", missing.body),
        ("GET", f"{partners}/{body['allocationId']}", missing_read.body),
    ):
        reply = await site.bitgo.call(method, path, headers, json=body if method == "POST" else None)
        assert (401, expected) == (reply.status, reply.body)
    assert [] == site.system.rows("SELECT 1 FROM allocation WHERE allocation_id = %s", body["allocationId"])


async def test_no_stack_trace_and_no_token_in_the_log(site: Site) -> None:
    token = BAD["expired"](site.bitgo)
    await site.bitgo.call("GET", f"/bitgo/v1/allocation/{uuid.uuid4()}", {SIGNATURE: token})
    for name in site.system.urls:
        log = site.system.log(name).read_text()
        assert "Traceback" not in log
        assert token[:40] not in log
    assert "expired" in site.system.log("ingress-conflict-reissue").read_text()


async def test_two_signature_headers_are_one_too_many(site: Site) -> None:
    token = sign(site.bitgo.key)
    two = [(SIGNATURE, token), (SIGNATURE, sign(site.bitgo.key))]
    reply = await site.bitgo.call("GET", f"/bitgo/v1/allocation/{uuid.uuid4()}", two)  # type: ignore[arg-type]
    assert reply.status == 401


async def test_a_token_counts_once_in_one_process_and_across_processes(site: Site) -> None:
    body = reserve_body(Kind.ALLOCATION)
    first, second, *_ = site.by_setting.values()
    headers = first.headers()
    assert (await first.call("POST", "/bitgo/v1/allocations", headers, json=body)).status == 200
    for bitgo in (first, second):
        assert (await bitgo.call("POST", "/bitgo/v1/allocations", headers, json=body)).status == 401
    path = f"/bitgo/v1/allocation/{body['allocationId']}"
    assert (await second.call("GET", path, headers)).status == 401


async def test_an_operator_sees_whether_a_token_or_only_its_jti_was_used_before(site: Site) -> None:
    path, name = f"/bitgo/v1/allocation/{uuid.uuid4()}", "ingress-conflict-reissue"
    jti = str(uuid.uuid4())
    first, other = (jwt.encode(claims(jti=jti, number=number), site.bitgo.key, "RS256") for number in range(2))
    before = await site.system.metrics(name)
    replies = [await site.bitgo.call("GET", path, {SIGNATURE: token}) for token in (first, first, other)]
    after = await site.system.metrics(name)
    assert [404, 401, 401] == [reply.status for reply in replies]
    assert replies[1].body == replies[2].body
    for reason in ("reused", "jti_collision"):
        counter = f'ingress_unauthorized_total{{reason="{reason}"}}'
        assert 1 == after[counter] - before.get(counter, 0)


async def test_of_two_tokens_with_one_jti_at_once_one_is_accepted(site: Site) -> None:
    ingresses = list(site.by_setting.values())
    for _ in range(5):
        path, jti = f"/bitgo/v1/allocation/{uuid.uuid4()}", str(uuid.uuid4())
        tokens = [jwt.encode(claims(jti=jti, number=number), site.bitgo.key, "RS256") for number in range(20)]
        replies = await asyncio.gather(
            *[ingresses[n % 4].call("GET", path, {SIGNATURE: token}) for n, token in enumerate(tokens)]
        )
        assert [401] * 19 + [404] == sorted(reply.status for reply in replies)


async def test_of_fifty_copies_at_once_one_is_accepted(site: Site) -> None:
    for _ in range(5):
        headers = site.bitgo.headers()
        path = f"/bitgo/v1/allocation/{uuid.uuid4()}"
        ingresses = list(site.by_setting.values())
        replies = await asyncio.gather(*[ingresses[n % 4].call("GET", path, headers) for n in range(50)])
        assert [401] * 49 + [404] == sorted(reply.status for reply in replies)


async def test_a_token_that_came_with_a_wrong_body_is_not_used_up(site: Site) -> None:
    headers = site.bitgo.headers()
    wrong = await site.bitgo.call("POST", "/bitgo/v1/allocations", headers, json={})
    right = await site.bitgo.call("POST", "/bitgo/v1/allocations", headers, json=reserve_body(Kind.ALLOCATION))
    assert (400, 200) == (wrong.status, right.status)


async def test_a_retry_with_a_new_token_works(site: Site) -> None:
    body = reserve_body(Kind.ALLOCATION)
    replies = [await site.bitgo.reserve(Kind.ALLOCATION, body) for _ in range(3)]
    assert [200] * 3 == [reply.status for reply in replies]


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


async def test_an_operators_token_reads_as_often_as_it_likes_and_does_not_write(site: Site) -> None:
    body = await site.bring(Kind.ALLOCATION, None)
    await site.bitgo.reserve(Kind.ALLOCATION, body)
    headers = bearer((site.system.folder / "operator-token").read_text().strip())
    for _ in range(2):
        assert (await site.bitgo.call("GET", f"/bitgo/v1/allocation/{body['allocationId']}", headers)).status == 200
        partners = f"/api/network/v1/enterprises/{ENTERPRISE}/partners/allocations"
        assert (await site.bitgo.call("GET", partners, headers)).status == 200
    for verb in Verb.CLEAR, Verb.RELEASE:
        reply = await site.bitgo.call("PUT", f"/bitgo/v1/allocation/{body['allocationId']}/{verb}", headers)
        assert reply.status == 401


@pytest.mark.parametrize("text", ["wrong", "", "é", "x" * 5000])
async def test_an_unknown_operator_is_not_told_why(site: Site, text: str) -> None:
    path = f"/bitgo/v1/allocation/{uuid.uuid4()}"
    nobody = await site.bitgo.call("GET", path, {})
    reply = await site.bitgo.call("GET", path, bearer(text))
    assert (401, nobody.body) == (reply.status, reply.body)


async def test_health_needs_nothing(site: Site) -> None:
    for path in ("/livez", "/readyz"):
        assert (await site.bitgo.call("GET", path, {})).status == 200
