"""The load generator, against servers that answer as they are told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from bench.http import header, parse
from bench.load import closed_loop, open_loop
from bench.pairs import Pair

GOOD = [Pair(b"reserve\r\n\r\n", b"clear\r\n\r\n")] * 200
RESERVED = b'HTTP/1.1 200 OK\r\nContent-Length: 21\r\nX: y\r\n\r\n{"status":"reserved"}'
CLEARED = b'HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{"status":"cleared"}'
OVERLOADED = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


@asynccontextmanager
async def server(answer: Callable[[bytes], Awaitable[bytes]]) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(await answer(await reader.readuntil(b"\r\n\r\n")))
        except asyncio.IncompleteReadError:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"


async def at_once(request: bytes) -> bytes:
    return RESERVED if request.startswith(b"reserve") else CLEARED


def test_an_answer_is_there_when_its_body_is() -> None:
    assert None is parse(RESERVED[:-1])
    assert None is parse(RESERVED[:30])
    found = [(answer.status, answer.body) for answer in map(parse, (RESERVED, CLEARED, OVERLOADED)) if answer]
    assert [(200, b'{"status":"reserved"}'), (200, b'{"status":"cleared"}'), (503, b"")] == found


def test_an_answer_in_chunks_is_there_when_the_last_one_is() -> None:
    chunks = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n15\r\n{"status":"reserved"}\r\n0\r\n\r\n'
    assert [True] * len(chunks) == [parse(chunks[:size]) is None for size in range(len(chunks))]
    answer = parse(chunks)
    assert answer
    assert (200, True) == (answer.status, b'"reserved"' in answer.body)


def test_a_header_is_found_whatever_its_case() -> None:
    assert b"y" == header(RESERVED, b"x")
    assert b"" == header(CLEARED, b"x")


@pytest.mark.parametrize("clients", [1, 8])
async def test_a_closed_loop_sends_every_pair_once(clients: int) -> None:
    asked: list[bytes] = []

    async def note(request: bytes) -> bytes:
        asked.append(request)
        return await at_once(request)

    async with server(note) as url:
        timings = await closed_loop(url, GOOD, clients)
    assert (200, 200) == (len(timings.reserve), len(timings.clear))
    assert 200 == asked.count(GOOD[0].reserve) == asked.count(GOOD[0].clear)
    assert {} == timings.wrong


async def test_an_answer_that_is_not_the_expected_one_is_counted() -> None:
    async def refuse(request: bytes) -> bytes:
        return OVERLOADED if request.startswith(b"clear") else RESERVED

    async with server(refuse) as url:
        timings = await closed_loop(url, GOOD, 4)
    assert {"503": 200} == timings.wrong == timings.document()["wrong"]


@pytest.mark.slow
async def test_an_open_loop_sees_a_stall_that_a_closed_loop_hides() -> None:
    """A server that stands still for half a second: of 200 pairs a second, half a second's were late.

    With a single connection nearly all of them were not even sent: only their intended start tells.
    """
    stall = asyncio.Event()

    async def stop_once(request: bytes) -> bytes:
        if stall.is_set():
            await released.wait()
        return await at_once(request)

    async def trouble() -> None:
        await asyncio.sleep(0.2)
        stall.set()
        await asyncio.sleep(0.5)
        released.set()

    late = {}
    for name, load in {"closed": lambda url: closed_loop(url, GOOD * 3, 1), "open": None}.items():
        released, task = asyncio.Event(), asyncio.create_task(trouble())
        stall.clear()
        async with server(stop_once) as url:
            timings = await (load(url) if load else open_loop(url, GOOD, 200, connections=1))
        await task
        late[name] = sum(each > 200 for each in (*timings.reserve, *timings.clear))
    assert late["closed"] <= 1
    assert late["open"] >= 40


@pytest.mark.slow
async def test_an_open_loop_keeps_its_rate() -> None:
    async with server(at_once) as url:
        timings = await open_loop(url, GOOD[:50], 100)
    assert 0.45 < timings.seconds < 3
    assert 50 == len(timings.reserve)
