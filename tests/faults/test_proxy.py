"""The proxy between clients and servers does what its names say."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.faults.run.proxy import PRODUCE, Deed, Proxy, Trap, kafka_request, postgres_did

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """In front of a server that sends back what it gets, and keeps it in `heard`."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            heard.append(data)
            writer.write(data)
        writer.close()

    heard.clear()
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with Proxy(server.sockets[0].getsockname()[1]) as started:
        yield started
    server.close()


heard: list[bytes] = []


async def ask(streams: Streams, words: bytes) -> bytes:
    reader, writer = streams
    writer.write(words)
    async with asyncio.timeout(2):
        return await reader.read(100)


async def words_or_nothing(proxy: Proxy) -> bytes:
    try:
        return await ask(await asyncio.open_connection("127.0.0.1", proxy.port), b"words")
    except ConnectionError:
        return b""


async def test_words_pass(proxy: Proxy) -> None:
    streams = await asyncio.open_connection("127.0.0.1", proxy.port)
    assert b"words" == await ask(streams, b"words")
    streams[1].close()


async def test_connections_are_reset_and_new_ones_too(proxy: Proxy) -> None:
    streams = await asyncio.open_connection("127.0.0.1", proxy.port)
    await ask(streams, b"words")
    async with proxy.refusing():
        with pytest.raises(ConnectionError):
            await ask(streams, b"more")
        assert b"" == await words_or_nothing(proxy)
    await test_words_pass(proxy)


async def test_a_stall_keeps_words_and_loses_none(proxy: Proxy) -> None:
    streams = await asyncio.open_connection("127.0.0.1", proxy.port)
    await ask(streams, b"words")
    async with proxy.stalled():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await ask(streams, b"late")
    assert b"late" == await ask(streams, b"")
    streams[1].close()


async def test_slow_is_late(proxy: Proxy) -> None:
    streams = await asyncio.open_connection("127.0.0.1", proxy.port)
    started = asyncio.get_running_loop().time()
    async with proxy.slow(0.2):
        await ask(streams, b"words")
    assert asyncio.get_running_loop().time() - started >= 0.4
    streams[1].close()


@pytest.mark.parametrize(("deed", "arrives"), [("cut before", False), ("cut after", True)])
async def test_a_trap_springs_at_its_moment(proxy: Proxy, deed: Deed, arrives: bool) -> None:  # noqa: FBT001
    trap = Trap("client", lambda data: b"now" in data, deed)
    streams = await asyncio.open_connection("127.0.0.1", proxy.port)
    waiting = asyncio.create_task(proxy.spring(trap, 2))
    assert b"words" == await ask(streams, b"words")
    with pytest.raises(ConnectionError):
        await ask(streams, b"now")
    assert await waiting
    await asyncio.sleep(0.05)
    assert arrives == (b"now" in heard)


async def test_a_trap_that_nothing_springs(proxy: Proxy) -> None:
    assert not await proxy.spring(Trap("server", lambda _: True, "stall"), 0.05)


def test_moments_of_the_protocols() -> None:
    assert kafka_request(PRODUCE)(b"\0\0\0\x10" + b"\0\0" + b"\0\x09" + b"\0\0\0\1")
    assert not kafka_request(PRODUCE)(b"\0\0\0\x10" + b"\0\1" + b"\0\x09" + b"\0\0\0\1")
    assert postgres_did("COMMIT")(b"xxxC\0\0\0\x0bCOMMIT\0Z")
    assert not postgres_did("COMMIT")(b"D\0\0\0\x0bCOMMIT\0Z")
