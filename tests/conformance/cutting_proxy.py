"""A proxy that forwards bytes and, where a request's header `X-Proxy` says so, ends the client's connection."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class CuttingProxy:
    """`cut`: the request is forwarded, its answer is kept back, and the connection ends; once.

    `close`: the connection ends after the answer.
    """

    upstream: str
    cuts: int = 1
    requests: list[str] = field(default_factory=list)
    """First lines, as they were forwarded."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        where = urlsplit(self.upstream)
        back_reader, back_writer = await asyncio.open_connection(where.hostname, where.port)
        try:
            while (request := await _message(reader)) is not None:
                self.requests.append(request.split(b"\r\n", 1)[0].decode())
                back_writer.write(request)
                answer = await _message(back_reader)
                if answer is None or (b"X-Proxy: cut" in request and self._may_cut()):
                    return
                writer.write(answer)
                await writer.drain()
                if b"X-Proxy: close" in request:
                    return
        finally:
            back_writer.close()
            writer.close()

    def _may_cut(self) -> bool:
        self.cuts -= 1
        return self.cuts >= 0


async def _message(reader: asyncio.StreamReader) -> bytes | None:
    """A head and its body, whose length it says; None at the end."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return head + await reader.readexactly(int(lengths[0].split(b":")[1]) if lengths else 0)


@asynccontextmanager
async def cutting_proxy(upstream: str) -> AsyncIterator[tuple[CuttingProxy, str]]:
    """The proxy, and its URL."""
    proxy = CuttingProxy(upstream)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    async with server:
        yield proxy, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
