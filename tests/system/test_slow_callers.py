"""Callers that take their time, and too many of them: each is bounded, and the others get their answers."""

import asyncio
import json
import time

from bitgo.client import BitGo, reserve_body
from schemas.words import Kind
from tests.support.limited_ingress import CONNECTIONS, IDLE_SECONDS, RECEIVE_SECONDS, LimitedIngress, answers, status
from tests.support.raw import Line, crowd, line_to


async def test_a_body_that_is_shorter_than_it_said_is_not_waited_for(limited: LimitedIngress) -> None:
    good = json.dumps(reserve_body(Kind.ALLOCATION)).encode()
    started = time.monotonic()
    async with line_to(limited.url) as line:
        await line.send(limited.request(good, length=len(good) + 1))
        answer = await line.answer()
        assert (408, True) == (status(answer), b"too_slow" in answer)
        assert await line.rest() == b""
    assert RECEIVE_SECONDS <= time.monotonic() - started < 3 * RECEIVE_SECONDS + 1
    async with line_to(limited.url) as line:
        await line.send(limited.request(good, length=len(good) + 1))
        line.end()
        await line.rest()
    assert await limited.status_of(json.loads(good)) == 404


async def test_a_head_that_comes_byte_by_byte_is_not_waited_for(limited: LimitedIngress) -> None:
    before = await limited.metric('ingress_connections_closed_total{reason="no_request"}')
    started = time.monotonic()
    async with line_to(limited.url) as line, asyncio.TaskGroup() as tasks:
        slow = tasks.create_task(line.trickle(limited.request(b""), 0.1))
        assert await line.rest() == b""
        slow.cancel()
    assert RECEIVE_SECONDS * 0.9 <= time.monotonic() - started < 3 * RECEIVE_SECONDS + 1
    assert before + 1 == await limited.metric('ingress_connections_closed_total{reason="no_request"}')


async def test_a_head_that_does_not_end_is_not_kept(limited: LimitedIngress) -> None:
    """Each of its lines is within the limit, and so is their number."""
    metric = 'ingress_connections_closed_total{reason="head_too_large"}'
    before, header = await limited.metric(metric), b": " + b"a" * 16_000 + b"\r\n"
    async with line_to(limited.url) as line:
        await line.send(limited.request(b"")[:-2] + b"".join(b"X-%d" % number + header for number in range(100)))
        assert await line.rest() == b""
    assert before + 1 == await limited.metric(metric)


async def test_a_second_request_that_comes_byte_by_byte_is_not_waited_for_either(limited: LimitedIngress) -> None:
    async with line_to(limited.url) as line, asyncio.TaskGroup() as tasks:
        await line.send(limited.request(b"{}", signed=False))
        assert status(await line.answer()) == 401
        started = time.monotonic()
        slow = tasks.create_task(line.trickle(limited.request(b""), 0.1))
        assert await line.rest() == b""
        slow.cancel()
    assert RECEIVE_SECONDS < time.monotonic() - started < 3 * IDLE_SECONDS


async def test_a_body_that_comes_byte_by_byte_is_answered_first_when_nobody_signed_it(limited: LimitedIngress) -> None:
    async with line_to(limited.url) as line, asyncio.TaskGroup() as tasks:
        slow = tasks.create_task(line.trickle(limited.request(b"x" * 1000, signed=False), 0.001))
        assert status(await line.answer()) == 401
        await line.rest(RECEIVE_SECONDS + 5)
        slow.cancel()


async def test_who_does_not_read_its_answers_is_cut_off(limited: LimitedIngress) -> None:
    async with line_to(limited.url) as line:
        line._reader._transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.wait_for(_flood(line), 10 * IDLE_SECONDS)
    async with asyncio.timeout(5):
        while await limited.metric("ingress_connections") > 2:
            await asyncio.sleep(0.1)


async def _flood(line: Line) -> None:
    """Ask for a document again and again, until the connection breaks."""
    while not line._writer.is_closing():
        await line.send(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
        await asyncio.sleep(0.01)


async def test_above_the_limit_of_connections_those_that_are_open_are_served_on(limited: LimitedIngress) -> None:
    async with BitGo(limited.url, limited.bitgo.key) as early, asyncio.TaskGroup() as tasks:
        served = tasks.create_task(_served_on(early))
        await asyncio.sleep(0.1)
        async with crowd(limited.url, CONNECTIONS + 20) as held:
            assert held < CONNECTIONS
            assert CONNECTIONS == await limited.metric("ingress_connections")
            assert await limited.metric('ingress_connections_closed_total{reason="no_place"}') >= 20
            assert (200, {"status": "ready"}) == await limited.system.readyz("ingress-0")
            async with line_to(limited.url) as line:
                assert await line.rest(0.5) == b""
            async with asyncio.timeout(3 * RECEIVE_SECONDS):
                while await limited.metric("ingress_connections") > 5:
                    await asyncio.sleep(0.1)
        assert not served.done()
        served.cancel()
    await limited.answers()


async def _served_on(bitgo: BitGo) -> None:
    """Requests on one connection, one after the other, for as long as it is let."""
    while True:
        await answers(bitgo)
        await asyncio.sleep(0.05)


async def test_an_ingress_that_may_not_open_enough_files_says_so(limited: LimitedIngress) -> None:
    system = limited.system
    await system.ingress("ingress-1", wait=False, connections_max="100000000")
    async with asyncio.timeout(20):
        while ("ingress-1", 78) not in system.ended:
            await asyncio.sleep(0.05)
    assert "INGRESS_CONNECTIONS_MAX" in system.log("ingress-1").read_text()
