"""Bad input gets a clear error and loses nothing; every limit is explicit (contract, section 8)."""

import asyncio
import json
import uuid

import pytest

from bitgo.client import reserve_body
from schemas.words import Kind, Status, Verb
from tests.endpoints.conftest import Site
from tests.support.system import System

JSON = {"Content-Type": "application/json"}
UNKNOWN = "8c1c0e3f-6c5e-4f0e-9a55-3d3b7d1f6a52"


def padded(size: int) -> bytes:
    """A good reserve of exactly `size` bytes."""
    body = json.dumps(reserve_body(Kind.ALLOCATION))
    return (body + " " * (size - len(body))).encode()


async def test_a_body_of_64_kib_is_read_and_one_byte_more_is_not(site: Site) -> None:
    for size, status in ((65536, 200), (65537, 413), (1_000_000, 413)):
        reply = await site.bitgo.call("POST", "/bitgo/v1/allocations", site.bitgo.headers() | JSON, data=padded(size))
        assert status == reply.status
    assert reply.body["code"] == "too_large"


async def test_a_chunked_body_has_the_same_limit(site: Site) -> None:
    async def chunks(size: int):  # type: ignore[no-untyped-def]  # noqa: ANN202
        text = padded(size)
        for start in range(0, size, 10_000):
            yield text[start : start + 10_000]

    for size, status in ((65536, 200), (65537, 413)):
        reply = await site.bitgo.call("POST", "/bitgo/v1/allocations", site.bitgo.headers() | JSON, data=chunks(size))
        assert status == reply.status


@pytest.mark.parametrize("data", [b"", b"{}", b"not json", b"\x00" * 100, b"x" * 65536])
@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/octet-stream"])
async def test_clear_and_release_ignore_their_body(site: Site, data: bytes, content_type: str) -> None:
    body = await site.bring(Kind.ALLOCATION, Status.RESERVED)
    headers = site.bitgo.headers() | {"Content-Type": content_type}
    path = f"/bitgo/v1/allocation/{body['allocationId']}/clear"
    assert (await site.bitgo.call("PUT", path, headers, data=data)).status == 200
    too_large = await site.bitgo.call("PUT", path, site.bitgo.headers(), data=b"x" * 65537)
    assert too_large.status == 413


async def test_given_a_reserve_that_is_none_then_its_answer_is_a_problem(site: Site) -> None:
    """Which are none: tests/ingress/test_requests.py."""
    for content_type, data, expected in (("text/plain; a*", b"{}", 415), ("application/json; a*", b"[" * 60_000, 400)):
        headers = site.bitgo.headers() | {"Content-Type": content_type}
        reply = await site.bitgo.call("POST", "/bitgo/v1/allocations", headers, data=data)
        assert (expected, "application/problem+json") == (reply.status, reply.headers["Content-Type"].split(";")[0])


@pytest.mark.parametrize("bad", ["x", "%00", "%2F", "é"])
@pytest.mark.parametrize("kind", Kind)
async def test_a_path_that_names_no_uuid(site: Site, bad: str, kind: Kind) -> None:
    for method, tail in (("PUT", "/clear"), ("PUT", "/release"), ("GET", "")):
        reply = await site.bitgo.call(method, f"/bitgo/v1/{kind}/{bad}{tail}")
        assert (400, f"{kind}Id") == (reply.status, reply.body["errors"][0]["field"])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/bitgo/v1/nothing", 404),
        ("DELETE", "/bitgo/v1/allocations", 405),
        ("POST", f"/bitgo/v1/allocation/{UNKNOWN}/clear", 405),
        ("PUT", "/bitgo/v1/connections", 405),
        ("GET", "/platform/v1/nothing", 404),
    ],
)
async def test_paths_and_methods_that_there_are_not(site: Site, method: str, path: str, status: int) -> None:
    reply = await site.bitgo.call(method, path)
    assert status == reply.status
    assert reply.headers["Content-Type"].startswith("application/problem+json")


async def test_over_the_limit_of_requests_in_flight(system: System) -> None:
    """One place only, and it is taken by a write whose processor does not run."""
    await system.processor()
    async with await system.ingress(requests_in_flight_max="1", answer_timeout_seconds="5") as bitgo:
        body = reserve_body(Kind.ALLOCATION)
        assert (await bitgo.reserve(Kind.ALLOCATION, body)).status == 200
        await system.supervisor.remove("processor-0")
        waiting = asyncio.create_task(bitgo.clear(Kind.ALLOCATION, body["allocationId"]))
        async with asyncio.timeout(4):
            while not (await system.metrics("ingress-0"))["ingress_requests_in_flight"]:
                await asyncio.sleep(0.02)
        refused = await bitgo.release(Kind.ALLOCATION, body["allocationId"])
        unauthorized = await bitgo.call("GET", f"/bitgo/v1/allocation/{body['allocationId']}", {})
        pending = await waiting
        assert (503, "overloaded", "1") == (refused.status, refused.body["code"], refused.headers["Retry-After"])
        assert unauthorized.status == 401
        assert (503, "outcome_pending") == (pending.status, pending.body["code"])
        assert {"Retry-After", "Command-Id", "Log-Position"} <= pending.headers.keys()
        await system.processor()
        again = await bitgo.finish(Kind.ALLOCATION, Verb.CLEAR, body["allocationId"])
        assert (200, "cleared", "2") == (again.status, again.body["status"], again.headers["Allocation-Version"])
    assert 1 == len(system.rows("SELECT 1 FROM ledger"))


async def test_over_the_limit_of_lag_nothing_is_published_and_no_token_used(system: System) -> None:
    await system.processor()
    async with await system.ingress(lag_max_records="3", answer_timeout_seconds="0.2") as bitgo:
        await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))
        await system.supervisor.remove("processor-0")
        allocation = str(uuid.uuid4())
        codes = ["outcome_pending"]
        async with asyncio.timeout(20):
            while codes[-1] == "outcome_pending":
                codes.append((await bitgo.release(Kind.ALLOCATION, allocation)).body["code"])
        assert "overloaded" == codes[-1]
        assert len(codes) > 5, "three may be behind"
        headers = bitgo.headers()
        path = f"/bitgo/v1/allocation/{allocation}/release"
        refused = await bitgo.call("PUT", path, headers)
        assert (503, "overloaded") == (refused.status, refused.body["code"])
        await system.processor()
        await system.caught_up()
        assert (await bitgo.call("PUT", path, headers)).status == 404
