"""One keep-alive connection, one request at a time, with as little of the machine as possible.

The load generator shares two cores with what it measures: bytes are made beforehand, and an answer is its status and
its body.
"""

import asyncio
from dataclasses import dataclass
from typing import Final, cast
from urllib.parse import urlsplit

_LAST_CHUNK: Final = b"0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    head: bytes
    body: bytes


class Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._answer: asyncio.Future[Answer] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        answer = parse(self._received)
        if answer is not None and self._answer is not None:
            self._received = b""
            self._answer.set_result(answer)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("closed before the answer"))

    async def ask(self, request: bytes) -> Answer:
        """Raises ConnectionError when there is no answer."""
        if self._transport is None:
            raise ConnectionResetError("the connection was closed")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def connect(url: str) -> Connection:
    parts = urlsplit(url)
    _, connection = await asyncio.get_running_loop().create_connection(
        Connection, parts.hostname or "", parts.port or 80
    )
    return connection


def request(method: str, url: str, path: str, token: str, body: bytes = b"") -> bytes:
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nX-BitGo-Signature: {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def parse(received: bytes) -> Answer | None:
    """The answer, or None when there is more to come."""
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return None
    if header(head, b"transfer-encoding") == b"chunked":
        return Answer(int(head[9:12]), head, body) if body.endswith(_LAST_CHUNK) else None
    length = int(header(head, b"content-length") or 0)
    return Answer(int(head[9:12]), head, body) if len(body) >= length else None


def header(head: bytes, name: bytes) -> bytes:
    """A header's value by its name in lower case; empty when there is none."""
    _, _, rest = head.lower().partition(b"\r\n" + name + b":")
    return rest.partition(b"\r\n")[0].strip()
