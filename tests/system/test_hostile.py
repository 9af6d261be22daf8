"""Callers that send what is no request: they get a short no or silence, and the others get their answers."""

import asyncio
import gzip
import json
import uuid

import pytest

from bitgo.client import BitGo, reserve_body
from schemas.words import Kind
from tests.support.limited_ingress import LimitedIngress, is_a_short_no, status
from tests.support.raw import line_to

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
async def test_what_is_no_request(limited: LimitedIngress, data: bytes) -> None:
    async with line_to(limited.url) as line:
        await line.send(data)
        line.end()
        assert is_a_short_no(await line.answer())
    await limited.answers()


@pytest.mark.parametrize("target", [b"http://xn--/", b"http://xn--a-ecp.ru/livez"])
async def test_a_target_that_can_not_be_decoded_ends_its_connection(limited: LimitedIngress, target: bytes) -> None:
    """Who keeps the connection open must not keep its place."""
    for url in (limited.url, limited.system.health["ingress-0"]):
        async with line_to(url) as line:
            await line.send(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"" == await line.rest(5)
    await limited.answers()


async def test_an_expectation_of_other_bytes_than_text_is_417(limited: LimitedIngress) -> None:
    for url in (limited.url, limited.system.health["ingress-0"]):
        async with line_to(url) as line:
            await line.send(b"GET /livez HTTP/1.1\r\nHost: x\r\nExpect: \xff\r\n\r\n")
            assert 417 == status(await line.answer())


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
async def test_what_is_no_body(limited: LimitedIngress, headers: tuple[str, ...], body: bytes, *, signed: bool) -> None:
    async with line_to(limited.url) as line:
        await line.send(limited.request(body, *headers, signed=signed))
        answer = await line.answer()
    assert is_a_short_no(answer)
    if not signed:
        assert status(answer) in (401, 400)
    await limited.answers()


async def test_a_body_that_turns_bad_on_the_way(limited: LimitedIngress) -> None:
    async with line_to(limited.url) as line:
        await line.send(limited.request(b"5\r\n[    \r\n", "Transfer-Encoding: chunked"))
        await asyncio.sleep(0.1)
        await line.send(b"zz\r\n")
        answer = await line.answer()
    assert status(answer) in (400, 408)
    assert is_a_short_no(answer)


async def test_a_body_that_is_longer_than_it_said_is_taken_as_it_was_said_or_not_at_all(
    limited: LimitedIngress,
) -> None:
    """What is behind it may come with it, and then nothing counts, or later."""
    for pause, expected in ((0, {400}), (0.2, {200})):
        good = reserve_body(Kind.ALLOCATION)
        async with line_to(limited.url) as line:
            await line.send(limited.request(json.dumps(good).encode()))
            await asyncio.sleep(pause)
            await line.send(b'{"and": "more"}\r\n\r\n')
            first = status(await line.answer())
            assert is_a_short_no(await line.rest())
        assert (first, await limited.status_of(good)) in {(200, 200), (400, 404)}
        assert first in expected | {200}


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
async def test_a_compressed_body_is_not_unpacked(limited: LimitedIngress, *, signed: bool) -> None:
    bomb = gzip.compress(b" " * 60_000_000)
    async with line_to(limited.url) as line:
        await line.send(limited.request(bomb[:65_000], "Content-Encoding: gzip", signed=signed))
        assert (415 if signed else 401) == status(await line.answer())
    path, headers = f"/bitgo/v1/allocation/{uuid.uuid4()}/clear", {"Content-Encoding": "gzip"}
    async with BitGo(limited.url, limited.bitgo.key) as bitgo:
        ignored = await bitgo.call("PUT", path, bitgo.headers() | headers, data=bomb[:65_000])
    assert (404, "not_found") == (ignored.status, ignored.body["code"])
    await limited.answers()


async def test_garbage_behind_a_request_does_not_change_its_answer(limited: LimitedIngress) -> None:
    good = json.dumps(reserve_body(Kind.ALLOCATION)).encode()
    async with line_to(limited.url) as line:
        await line.send(limited.request(good) * 2)
        await line.send(b"\0\1\2" * 1000)
        answers = [await line.answer(), await line.answer()]
        assert [status(each) for each in answers] in ([200, 401], [400, 0])
        assert is_a_short_no(await line.rest())


async def test_requests_behind_requests_are_answered_in_order(limited: LimitedIngress) -> None:
    async with line_to(limited.url) as line:
        await line.send(limited.request(b"{}", signed=False) * 500)
        assert {401} == {status(await line.answer()) for _ in range(500)}
