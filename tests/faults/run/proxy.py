"""A TCP proxy that can cut, stall and slow what goes through it, also at a chosen moment of the protocol inside."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, Literal, Self

CHUNK_BYTES: Final = 65_536
RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)

Side = Literal["client", "server"]
"""Who sent a chunk."""
Deed = Literal["cut before", "cut after", "stall"]


@dataclass
class Trap:
    """Springs once, at the first chunk of a side in which `sees` finds the moment.

    "cut before": the chunk does not arrive. "cut after": it arrives, and what is answered to it does not. "stall": it
    waits for `seconds`, and so does everything after it on its connection.
    """

    side: Side
    sees: Callable[[bytes], bool]
    deed: Deed
    seconds: float = 0.0
    sprung: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(eq=False)
class _Link:
    """One connection through the proxy."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    deaf: bool = False

    def cut(self) -> None:
        for writer in (self.client, self.server):
            connection = writer.get_extra_info("socket")
            if connection is not None:
                with suppress(OSError):
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            writer.transport.abort()


class Proxy:
    """Listens on a port, any free one by default, in front of `upstream`, both on this machine."""

    def __init__(self, upstream: int, port: int = 0) -> None:
        self.port = port
        self.connections = 0
        self._upstream = upstream
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = asyncio.Event()
        self._open.set()
        self._refusing = False
        self._delay = 0.0
        self._trap: Trap | None = None
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Reset every connection that there is."""
        for link in list(self._links):
            link.cut()

    def lead_to(self, upstream: int) -> None:
        """Reset every connection that there is, and bring the next ones to another port."""
        self._upstream = upstream
        self.cut()

    @asynccontextmanager
    async def refusing(self) -> AsyncIterator[None]:
        """Every connection is reset, and so are those that are tried meanwhile."""
        self._refusing = True
        self.cut()
        try:
            yield
        finally:
            self._refusing = False

    @asynccontextmanager
    async def stalled(self) -> AsyncIterator[None]:
        """Nothing arrives, in neither direction, and nothing is closed."""
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    @asynccontextmanager
    async def slow(self, seconds: float) -> AsyncIterator[None]:
        """Every chunk is late by so much."""
        self._delay = seconds
        try:
            yield
        finally:
            self._delay = 0.0

    async def spring(self, trap: Trap, timeout_seconds: float) -> bool:
        """Lay a trap and wait until it springs; gives whether it did."""
        self._trap = trap
        try:
            async with asyncio.timeout(timeout_seconds):
                await trap.sprung.wait()
        except TimeoutError:
            return False
        finally:
            self._trap = None
        return True

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            return
        await self._open.wait()
        self.connections += 1
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._upstream)
        link = _Link(writer, to_server)
        self._links.add(link)
        try:
            ways = (self._carry("client", reader, to_server, link), self._carry("server", from_server, writer, link))
            await asyncio.gather(*ways)
        except OSError:
            pass
        finally:
            self._links.discard(link)
            to_server.transport.abort()

    async def _carry(self, side: Side, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: _Link) -> None:
        while data := await reader.read(CHUNK_BYTES):
            if self._delay:
                await asyncio.sleep(self._delay)
            await self._open.wait()
            if not await self._passes(side, data, link):
                link.cut()
                return
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    async def _passes(self, side: Side, data: bytes, link: _Link) -> bool:
        if link.deaf and side == "server":
            return False
        trap = self._trap
        if trap is None or trap.sprung.is_set() or trap.side != side or not trap.sees(data):
            return True
        trap.sprung.set()
        if trap.deed == "stall":
            await asyncio.sleep(trap.seconds)
        link.deaf = trap.deed == "cut after"
        return trap.deed != "cut before"


PRODUCE: Final = 0
END_OF_TRANSACTION: Final = 26


def kafka_request(api: int) -> Callable[[bytes], bool]:
    """Whether a chunk starts with a request of a kind: four bytes of length, then two that name the kind."""
    return lambda data: len(data) > 8 and struct.unpack_from(">h", data, 4) == (api,)


def postgres_did(command: str) -> Callable[[bytes], bool]:
    """Whether a chunk from the server says that a command is complete."""
    tag = command.encode() + b"\0"
    return lambda data: b"C" + struct.pack(">i", 4 + len(tag)) + tag in data
