"""What stands in front of the ingresses: HAProxy where it is installed, or a small balancer of our own.

Both ask `/readyz` of every ingress five times a second, send a new connection to those that said 200 last, and repeat
nothing: a connection that an ingress refuses is an error that the caller sees.
"""

import asyncio
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from local.child import Child
from local.ports import reserve_port
from local.ready import is_listening, wait_until
from local.supervisor import Supervisor

HAPROXY: Final = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
CHECK_SECONDS: Final = 0.2
FALL: Final = 2
"""An ingress is left out after so many checks without 200."""
CHUNK_BYTES: Final = 65_536
REQUEST: Final = b"GET /readyz HTTP/1.1\r\nHost: balancer\r\nConnection: close\r\n\r\n"


class Balancer(Protocol):
    name: str

    @property
    def url(self) -> str: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class OwnBalancer:
    """Of TCP connections, in turns."""

    name = "a balancer of the tests"

    def __init__(self, ports: Sequence[int]) -> None:
        self._failed = dict.fromkeys(ports, FALL)
        self._turn = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        for port in self._failed:
            self._keep(asyncio.create_task(self._check(port)))

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _keep(self, task: "asyncio.Task[None]") -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _check(self, port: int) -> None:
        while True:
            self._failed[port] = 0 if await _is_ready(port) else self._failed[port] + 1
            await asyncio.sleep(CHECK_SECONDS)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._keep(task)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up = [port for port, failed in self._failed.items() if failed < FALL]
        if not up:
            return
        self._turn += 1
        from_ingress, to_ingress = await asyncio.open_connection("127.0.0.1", up[self._turn % len(up)])
        try:
            await asyncio.gather(_carry(reader, to_ingress), _carry(from_ingress, writer))
        finally:
            to_ingress.transport.abort()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK_BYTES):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def _is_ready(port: int) -> bool:
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(REQUEST)
                return (await reader.readline()).startswith(b"HTTP/1.1 200 ")
            finally:
                writer.transport.abort()
    return False


class Haproxy:
    """HTTP; each request of a caller goes to an ingress on a connection of its own."""

    name = "HAProxy"

    def __init__(self, supervisor: Supervisor, folder: Path, ports: Sequence[int]) -> None:
        self._supervisor = supervisor
        self._folder = folder
        self._ports = ports
        self._port = reserve_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        assert HAPROXY is not None
        self._folder.mkdir(parents=True, exist_ok=True)
        file, log = self._folder / "haproxy.cfg", self._folder / "haproxy.log"
        file.write_text(_configuration(self._port, self._ports))
        self._supervisor.start(Child(name="haproxy", argv=[HAPROXY, "-db", "-f", file], log=log))

        async def listens() -> bool:
            return await is_listening(self._port)

        await wait_until(listens, "haproxy", log, print, 10)

    async def stop(self) -> None:
        await self._supervisor.remove("haproxy")


def _configuration(port: int, ports: Sequence[int]) -> str:
    check = f"check inter {int(CHECK_SECONDS * 1000)}ms fall {FALL} rise 1"
    lines = [
        "defaults",
        "    mode http",
        "    timeout connect 2s",
        "    timeout client 60s",
        "    timeout server 60s",
        "    retries 0",
        "    option httpclose",
        f"listen ingresses\n    bind 127.0.0.1:{port}",
        "    balance roundrobin",
        "    option httpchk GET /readyz",
        "    http-check expect status 200",
        *(f"    server ingress-{number} 127.0.0.1:{each} {check}" for number, each in enumerate(ports)),
    ]
    return "\n".join(lines) + "\n"
