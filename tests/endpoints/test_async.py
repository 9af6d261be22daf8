"""`Prefer: respond-async`: 202 as soon as the log has it; the location answers as the write would have (section 8)."""

import asyncio
import uuid

import pytest

from bitgo.client import reserve_body
from schemas.words import Kind, Status, Verb
from tests.endpoints.conftest import Site
from tests.support.system import System

ASYNC = {"Prefer": "respond-async, wait=5"}


@pytest.mark.parametrize("kind", Kind)
async def test_the_location_waits_for_the_outcome(site: Site, kind: Kind) -> None:
    body = await site.bring(kind, None)
    accepted = await site.bitgo.call("POST", f"/bitgo/v1/{kind}s", site.bitgo.headers() | ASYNC, json=body)
    assert (202, "respond-async") == (accepted.status, accepted.headers["Preference-Applied"])
    assert {"Command-Id", "Log-Position", "Location"} <= accepted.headers.keys()
    outcome = await site.bitgo.call("GET", accepted.headers["Location"])
    assert (200, body | {"status": "reserved"}) == (outcome.status, outcome.body)
    assert accepted.headers["Command-Id"] == outcome.headers["Command-Id"]


async def test_the_location_tells_a_refusal_as_the_write_would_have(site: Site) -> None:
    body = await site.bring(Kind.ALLOCATION, Status.CLEARED)
    accepted = await site.bitgo.finish(Kind.ALLOCATION, Verb.RELEASE, body["allocationId"], **ASYNC)
    outcome = await site.bitgo.call("GET", accepted.headers["Location"])
    assert (202, 409, "already_cleared") == (accepted.status, outcome.status, outcome.body["code"])
    missing = await site.bitgo.finish(Kind.ALLOCATION, Verb.CLEAR, str(uuid.uuid4()), **ASYNC)
    assert 404 == (await site.bitgo.call("GET", missing.headers["Location"])).status


async def test_the_outcome_at_a_position_does_not_change(site: Site) -> None:
    body = await site.bring(Kind.ALLOCATION, None)
    accepted = await site.bitgo.call("POST", "/bitgo/v1/allocations", site.bitgo.headers() | ASYNC, json=body)
    await site.bitgo.clear(Kind.ALLOCATION, body["allocationId"])
    then = await site.bitgo.call("GET", accepted.headers["Location"])
    now = await site.bitgo.status(Kind.ALLOCATION, body["allocationId"])
    assert ("reserved", "1", "cleared", "2") == (
        then.body["status"],
        then.headers["Allocation-Version"],
        now.body["status"],
        now.headers["Allocation-Version"],
    )


async def test_a_bad_request_is_not_accepted(site: Site) -> None:
    reply = await site.bitgo.call("POST", "/bitgo/v1/allocations", site.bitgo.headers() | ASYNC, json={})
    assert reply.status == 400


@pytest.mark.parametrize(
    "position", ["", "x", "other-topic/0/0", "{topic}/99/0", "{topic}/-1/0", "{topic}/0/x", "{topic}/0/0/0"]
)
async def test_a_position_that_is_none(site: Site, position: str) -> None:
    text = position.format(topic=site.system.topics.commands)
    reply = await site.bitgo.call("GET", f"/bitgo/v1/allocation/{uuid.uuid4()}", params={"position": text})
    assert (400, "position") == (reply.status, reply.body["errors"][0]["field"])


async def test_the_position_of_another_id_is_not_found_here(site: Site) -> None:
    body = await site.bring(Kind.ALLOCATION, None)
    reserved = await site.bitgo.reserve(Kind.ALLOCATION, body)
    position = {"position": reserved.headers["Log-Position"]}
    right = await site.bitgo.call("GET", f"/bitgo/v1/allocation/{body['allocationId']}", params=position)
    other_id = await site.bitgo.call("GET", f"/bitgo/v1/allocation/{uuid.uuid4()}", params=position)
    other_kind = await site.bitgo.call("GET", f"/bitgo/v1/deallocation/{body['allocationId']}", params=position)
    other_command = await site.bitgo.call(
        "GET", f"/bitgo/v1/allocation/{body['allocationId']}", params=position | {"commandId": str(uuid.uuid4())}
    )
    assert [200, 404, 404, 503] == [each.status for each in (right, other_id, other_kind, other_command)]


async def test_a_wrong_command_id_does_not_make_the_ingress_unready(site: Site) -> None:
    reply = await site.bitgo.call("GET", "/readyz", {})
    assert (200, {"status": "ready"}) == (reply.status, reply.body)


async def test_a_position_beyond_the_log_is_pending_and_no_more(system: System) -> None:
    await system.processor()
    async with await system.ingress(answer_timeout_seconds="1") as bitgo:
        body = reserve_body(Kind.ALLOCATION)
        await bitgo.reserve(Kind.ALLOCATION, body)
        path, position = f"/bitgo/v1/allocation/{body['allocationId']}", f"{system.topics.commands}/0/100000"
        started = asyncio.get_running_loop().time()
        reply = await bitgo.call("GET", path, params={"position": position})
        assert (503, "outcome_pending") == (reply.status, reply.body["code"])
        assert 1 <= asyncio.get_running_loop().time() - started < 3
        assert (200, {"status": "ready"}) == await system.readyz("ingress-0")
