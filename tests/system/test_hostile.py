"""Callers that are no partners: whatever they send, they get a short no or silence; the others get their answers."""

import asyncio
import gzip
import json
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from bitgo.client import SIGNATURE, BitGo, reserve_body
from schemas.words import Kind
from tests.support.raw import Line, crowd, line_to
from tests.support.servers import Servers
from tests.support.system import System, running_system

RECEIVE_SECONDS = 1.0
IDLE_SECONDS = 1.5
CONNECTIONS = 40
INTERNALS = (b"Traceback", b"aiohttp", b"Python", b'File "', b"ingress/", b"kafka", b"postgres")


@dataclass
class Besieged:
    """An ingress with short limits, and a caller of good faith."""

    system: System
    bitgo: BitGo

    @property
    def url(self) -> str:
        return self.system.urls["ingress-0"]

    async def answers(self) -> None:
        async with BitGo(self.url, self.bitgo.key) as bitgo:
            await answers(bitgo)

    async def status_of(self, body: dict[str, Any]) -> int:
        async with BitGo(self.url, self.bitgo.key) as bitgo:
            return (await bitgo.status(Kind.ALLOCATION, body["allocationId"])).status

    async def metric(self, name: str) -> float:
        return (await self.system.metrics("ingress-0")).get(name, 0)

    def request(self, body: bytes, *headers: str, signed: bool = True, length: int | None = None) -> bytes:
        """A reserve, as bytes."""
        lines = ["POST /bitgo/v1/allocations HTTP/1.1", "Host: partner", "Content-Type: application/json", *headers]
        if signed:
            lines.append(f"{SIGNATURE}: {self.bitgo.headers()[SIGNATURE]}")
        if not any(header.startswith("Transfer-Encoding") for header in headers):
            lines.append(f"Content-Length: {len(body) if length is None else length}")
        return "\r\n".join([*lines, "", ""]).encode() + body


async def answers(bitgo: BitGo) -> None:
    reply = await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))
    assert (200, "reserved") == (reply.status, reply.body["status"])


@pytest.fixture(scope="module")
async def besieged(
    servers: Servers, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Besieged]:
    name = f"besieged_{uuid.uuid4().hex}"
    servers.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    folder = tmp_path_factory.mktemp("besieged")
    limits = {
        "receive_seconds": str(RECEIVE_SECONDS),
        "idle_seconds": str(IDLE_SECONDS),
        "connections_max": str(CONNECTIONS),
    }
    async with running_system(servers, servers.database_url(name), folder) as system:
        await system.processor(wait=False)
        bitgo = await system.ingress(wait=False, **limits)
        for each in system.health:
            await system.ready(each)
        async with bitgo:
            yield Besieged(system, bitgo)
        lines = system.log("ingress-0").read_text().splitlines()
        assert [] == [line for line in lines if "Traceback" in line or '"failed"' in line]


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else 0


def is_a_short_no(answer: bytes) -> bool:
    """A plain 4xx, a problem document, or nothing; never a word about what runs here."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert not [word for word in INTERNALS if word in answer], answer
    assert len(answer) < 4096
    if b"application/problem+json" in head:
        assert {"type", "title", "status", "detail", "code", "error"} <= json.loads(body).keys()
    return 400 <= status(answer) < 500 or status(answer) in (0, 505)


GARBAGE = {
    "zeros": b"\0" * 100,
    "noise": bytes(range(256)) * 20,
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "no path": b"GET\r\n\r\n",
    "no method that there is": b"RESERVE / HTTP/1.1\r\nHost: x\r\n\r\n",
    "no version that there is": b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
    "an enormous path": b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "an enormous query": b"GET /bitgo/v1/allocations?" + b"a=b&" * 50_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "an enormous header": b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
    "an enormous name of a header": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a" * 200_000 + b": x\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: x\r\n" % n for n in range(5000)) + b"\r\n",
    "a header without a name": b"GET / HTTP/1.1\r\nHost: x\r\n: x\r\n\r\n",
    "a space in a name": b"GET / HTTP/1.1\r\nHost: x\r\nContent Length: 5\r\n\r\n",
    "a zero in a header": b"GET / HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n",
    "a folded header": b"GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n",
    "a bare line feed": b"GET / HTTP/1.1\nHost: x\nX: a\n\n",
    "two lengths": b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a negative length": b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "a length of letters": b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n",
    "an endless length": b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 40 + b"\r\n\r\n",
    "a length and chunks": b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n",
    "an encoding that there is not": b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\nabc",
    "chunked twice": b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "a proxy's request": b"CONNECT other:443 HTTP/1.1\r\nHost: other\r\n\r\n",
    "an upgrade with a tail": b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    + b"z" * 90_000,
    "an expectation that there is not": b"PUT / HTTP/1.1\r\nHost: x\r\nExpect: gifts\r\nContent-Length: 1\r\n\r\n",
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE.keys())
async def test_what_is_no_request(besieged: Besieged, data: bytes) -> None:
    async with line_to(besieged.url) as line:
        await line.send(data)
        line.end()
        assert is_a_short_no(await line.answer())
    await besieged.answers()


BODIES = {
    "garbage for chunks": (("Transfer-Encoding: chunked",), b"zz\r\nabc\r\n"),
    "a chunk of 2^68 bytes": (("Transfer-Encoding: chunked",), b"F" * 17 + b"\r\nabc"),
    "a negative chunk": (("Transfer-Encoding: chunked",), b"-5\r\nabc\r\n"),
    "an endless chunk extension": (("Transfer-Encoding: chunked",), b"5;" + b"a" * 200_000 + b"\r\nabcde\r\n0\r\n\r\n"),
    "endless trailers": (("Transfer-Encoding: chunked",), b"2\r\n{}\r\n0\r\n" + b"X: y\r\n" * 5000 + b"\r\n"),
    "a body just above the limit": ((), b"[" + b" " * 65535 + b"]"),
    "lists in lists": ((), b"[" * 32_000 + b"]" * 32_000),
    "objects in objects": ((), b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
    "unknown fields, deep": ((), b'{"amount": ' + b'{"quantity": ' * 900 + b"1" + b"}" * 901),
}


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
@pytest.mark.parametrize(("headers", "body"), BODIES.values(), ids=BODIES.keys())
async def test_what_is_no_body(besieged: Besieged, headers: tuple[str, ...], body: bytes, *, signed: bool) -> None:
    async with line_to(besieged.url) as line:
        await line.send(besieged.request(body, *headers, signed=signed))
        answer = await line.answer()
    assert is_a_short_no(answer)
    if not signed:
        assert status(answer) in (401, 400)
    await besieged.answers()


async def test_a_body_that_turns_bad_on_the_way(besieged: Besieged) -> None:
    async with line_to(besieged.url) as line:
        await line.send(besieged.request(b"5\r\n[    \r\n", "Transfer-Encoding: chunked"))
        await asyncio.sleep(0.1)
        await line.send(b"zz\r\n")
        answer = await line.answer()
    assert status(answer) in (400, 408)
    assert is_a_short_no(answer)


async def test_a_body_that_is_longer_than_it_said_is_taken_as_it_was_said_or_not_at_all(besieged: Besieged) -> None:
    """What is behind it may come with it, and then nothing counts, or later."""
    for pause, expected in ((0, {400}), (0.2, {200})):
        good = reserve_body(Kind.ALLOCATION)
        async with line_to(besieged.url) as line:
            await line.send(besieged.request(json.dumps(good).encode()))
            await asyncio.sleep(pause)
            await line.send(b'{"and": "more"}\r\n\r\n')
            first = status(await line.answer())
            assert is_a_short_no(await line.rest())
        assert (first, await besieged.status_of(good)) in {(200, 200), (400, 404)}
        assert first in expected | {200}


async def test_a_body_that_is_shorter_than_it_said_is_not_waited_for(besieged: Besieged) -> None:
    good = json.dumps(reserve_body(Kind.ALLOCATION)).encode()
    started = time.monotonic()
    async with line_to(besieged.url) as line:
        await line.send(besieged.request(good, length=len(good) + 1))
        answer = await line.answer()
        assert (408, True) == (status(answer), b"too_slow" in answer)
        assert await line.rest() == b""
    assert RECEIVE_SECONDS <= time.monotonic() - started < 3 * RECEIVE_SECONDS + 1
    async with line_to(besieged.url) as line:
        await line.send(besieged.request(good, length=len(good) + 1))
        line.end()
        await line.rest()
    assert await besieged.status_of(json.loads(good)) == 404


async def test_a_head_that_comes_byte_by_byte_is_not_waited_for(besieged: Besieged) -> None:
    before = await besieged.metric('ingress_connections_closed_total{reason="no_request"}')
    started = time.monotonic()
    async with line_to(besieged.url) as line, asyncio.TaskGroup() as tasks:
        slow = tasks.create_task(line.trickle(besieged.request(b""), 0.1))
        assert await line.rest() == b""
        slow.cancel()
    assert RECEIVE_SECONDS * 0.9 <= time.monotonic() - started < RECEIVE_SECONDS + 1
    assert before + 1 == await besieged.metric('ingress_connections_closed_total{reason="no_request"}')


async def test_a_second_request_that_comes_byte_by_byte_is_not_waited_for_either(besieged: Besieged) -> None:
    async with line_to(besieged.url) as line, asyncio.TaskGroup() as tasks:
        await line.send(besieged.request(b"{}", signed=False))
        assert status(await line.answer()) == 401
        started = time.monotonic()
        slow = tasks.create_task(line.trickle(besieged.request(b""), 0.1))
        assert await line.rest() == b""
        slow.cancel()
    assert RECEIVE_SECONDS < time.monotonic() - started < IDLE_SECONDS + 1


async def test_a_body_that_comes_byte_by_byte_is_answered_first_when_nobody_signed_it(besieged: Besieged) -> None:
    async with line_to(besieged.url) as line, asyncio.TaskGroup() as tasks:
        slow = tasks.create_task(line.trickle(besieged.request(b"x" * 1000, signed=False), 0.001))
        assert status(await line.answer()) == 401
        await line.rest(RECEIVE_SECONDS + 5)
        slow.cancel()


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
async def test_a_compressed_body_is_not_unpacked(besieged: Besieged, *, signed: bool) -> None:
    bomb = gzip.compress(b" " * 60_000_000)
    async with line_to(besieged.url) as line:
        await line.send(besieged.request(bomb[:65_000], "Content-Encoding: gzip", signed=signed))
        started = time.monotonic()
        assert (415 if signed else 401) == status(await line.answer())
    assert time.monotonic() - started < 0.5
    await besieged.answers()


async def test_garbage_behind_a_request_does_not_change_its_answer(besieged: Besieged) -> None:
    good = json.dumps(reserve_body(Kind.ALLOCATION)).encode()
    async with line_to(besieged.url) as line:
        await line.send(besieged.request(good) * 2)
        await line.send(b"\0\1\2" * 1000)
        answers = [await line.answer(), await line.answer()]
        assert [status(each) for each in answers] in ([200, 401], [400, 0])
        assert is_a_short_no(await line.rest())


async def test_requests_behind_requests_are_answered_in_order(besieged: Besieged) -> None:
    async with line_to(besieged.url) as line:
        await line.send(besieged.request(b"{}", signed=False) * 500)
        assert {401} == {status(await line.answer()) for _ in range(500)}


async def test_who_does_not_read_its_answers_is_cut_off(besieged: Besieged) -> None:
    async with line_to(besieged.url) as line:
        line._reader._transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.wait_for(_flood(line), 10 * IDLE_SECONDS)
    async with asyncio.timeout(5):
        while await besieged.metric("ingress_connections") > 2:
            await asyncio.sleep(0.1)


async def _flood(line: Line) -> None:
    """Ask for a document again and again, until the connection breaks."""
    while not line._writer.is_closing():
        await line.send(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
        await asyncio.sleep(0.01)


async def test_above_the_limit_of_connections_those_that_are_open_are_served_on(besieged: Besieged) -> None:
    async with BitGo(besieged.url, besieged.bitgo.key) as early, asyncio.TaskGroup() as tasks:
        served = tasks.create_task(_served_on(early))
        await asyncio.sleep(0.1)
        async with crowd(besieged.url, CONNECTIONS + 20) as held:
            assert held < CONNECTIONS
            assert CONNECTIONS == await besieged.metric("ingress_connections")
            assert await besieged.metric('ingress_connections_closed_total{reason="no_place"}') >= 20
            assert (200, {"status": "ready"}) == await besieged.system.readyz("ingress-0")
            async with line_to(besieged.url) as line:
                assert await line.rest(0.5) == b""
            async with asyncio.timeout(3 * RECEIVE_SECONDS):
                while await besieged.metric("ingress_connections") > 5:
                    await asyncio.sleep(0.1)
        assert not served.done()
        served.cancel()
    await besieged.answers()


async def _served_on(bitgo: BitGo) -> None:
    """Requests on one connection, one after the other, for as long as it is let."""
    while True:
        await answers(bitgo)
        await asyncio.sleep(0.05)


async def test_an_ingress_that_may_not_open_enough_files_says_so(besieged: Besieged) -> None:
    system = besieged.system
    await system.ingress("ingress-1", wait=False, connections_max="100000000")
    async with asyncio.timeout(20):
        while ("ingress-1", 78) not in system.ended:
            await asyncio.sleep(0.05)
    assert "INGRESS_CONNECTIONS_MAX" in system.log("ingress-1").read_text()
