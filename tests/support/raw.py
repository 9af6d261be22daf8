"""A caller that writes bytes, not requests; and a crowd of them, in a process of its own.

As a program (`python -m tests.support.raw HOST PORT COUNT`): opens COUNT connections, says how many it has, and holds
them until its standard input ends; then it says how many were still open.
"""

import asyncio
import resource
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent.parent
AT_ONCE = 200
REFUSAL_SECONDS = 0.2
"""Who is refused learns it a moment after it was connected."""


class Line:
    """One connection to an ingress."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Whatever is sent after the other side has hung up is lost, as it would be anywhere."""
        with suppress(ConnectionError):
            self._writer.write(data)
            await self._writer.drain()

    async def trickle(self, data: bytes, pause_seconds: float) -> None:
        for position in range(len(data)):
            await self.send(data[position : position + 1])
            await asyncio.sleep(pause_seconds)

    def end(self) -> None:
        """Say that nothing more will come."""
        with suppress(OSError):
            self._writer.write_eof()

    async def answer(self, timeout_seconds: float = 10) -> bytes:
        """One answer with its body; less when the connection ended before."""
        async with asyncio.timeout(timeout_seconds):
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                head = await self._reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                return head + await self._reader.readexactly(int(length or 0))
        return b""

    async def rest(self, timeout_seconds: float = 10) -> bytes:
        """All that comes until the other side closes. Raises TimeoutError when it does not."""
        found = bytearray()
        async with asyncio.timeout(timeout_seconds):
            with suppress(ConnectionError):
                while piece := await self._reader.read(65536):
                    found += piece
        return bytes(found)


@asynccontextmanager
async def line_to(url: str) -> AsyncIterator[Line]:
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield Line(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def crowd(url: str, count: int) -> AsyncIterator[int]:
    """Hold `count` connections that say nothing; returns how many there are."""
    address = urlsplit(url)
    program = [sys.executable, "-m", "tests.support.raw", str(address.hostname), str(address.port), str(count)]
    process = await asyncio.create_subprocess_exec(*program, cwd=ROOT, stdin=PIPE, stdout=PIPE)
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield int(await asyncio.wait_for(process.stdout.readline(), 60))
    finally:
        process.stdin.close()
        print("still open:", (await process.communicate())[0].decode().strip())


async def _hold(host: str, port: int, count: int) -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    gate = asyncio.Semaphore(AT_ONCE)
    loop = asyncio.get_running_loop()

    async def connect(number: int) -> asyncio.Transport | None:
        """From one of several addresses, because one has too few ports."""
        source = f"127.0.0.{2 + number % 8}"
        async with gate:
            with suppress(OSError):
                return (await loop.create_connection(asyncio.Protocol, host, port, local_addr=(source, 0)))[0]
        return None

    held = [each for each in await asyncio.gather(*map(connect, range(count))) if each]
    await asyncio.sleep(REFUSAL_SECONDS)
    print(sum(not each.is_closing() for each in held), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    print(sum(not each.is_closing() for each in held), flush=True)


if __name__ == "__main__":
    asyncio.run(_hold(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
