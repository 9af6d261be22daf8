"""Restate's server with its defaults, and the handlers under hypercorn, in a temporary folder."""

import asyncio
import os
import signal
import socket
import tempfile
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import aiohttp

from bench.errors import BenchError
from bench.peers.install import HERE, installed, server
from local.child import die_with_parent, tail

READY_SECONDS: Final = 60.0
ASK_AGAIN_SECONDS: Final = 0.5


@dataclass(frozen=True)
class Restate:
    url: str
    pids: Mapping[str, list[int]]


@asynccontextmanager
async def running() -> AsyncIterator[Restate]:
    folder = installed()
    ingress, admin, node, handlers = _free_ports(4)
    with tempfile.TemporaryDirectory(prefix="restate-bench-", ignore_cleanup_errors=True) as data:
        settings = {
            "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
            "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
            "RESTATE_BIND_ADDRESS": f"127.0.0.1:{node}",
            "RESTATE_LISTEN_MODE": "tcp",
            "RESTATE_DISABLE_TELEMETRY": "true",
        }
        hypercorn = ["-k", "uvloop", "-b", f"127.0.0.1:{handlers}", "handlers:app"]
        with (Path(data) / "log").open("ab") as log:
            processes = [
                await _start([server(folder), "--no-logo", "--base-dir", data], settings, log),
                await _start([folder / "venv" / "bin" / "hypercorn", *hypercorn], {}, log),
            ]
        try:
            await _register(f"http://127.0.0.1:{admin}/deployments", f"http://127.0.0.1:{handlers}", Path(data) / "log")
            names = ("restate", "handlers")
            pids = {name: [process.pid] for name, process in zip(names, processes, strict=True)}
            yield Restate(f"http://127.0.0.1:{ingress}", pids)
        finally:
            for process in processes:
                if process.returncode is None:
                    process.terminate()
                await process.wait()


async def _start(arguments: list[str | Path], settings: Mapping[str, str], log: IO[bytes]) -> Process:
    return await asyncio.create_subprocess_exec(
        *map(str, arguments),
        cwd=HERE,
        env={**os.environ, **settings, "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        preexec_fn=die_with_parent(signal.SIGTERM),
    )


async def _register(admin: str, handlers: str, log: Path) -> None:
    """Tell the server where the handlers are, as soon as both answer."""
    words = ""
    async with aiohttp.ClientSession() as session:
        try:
            async with asyncio.timeout(READY_SECONDS):
                while True:
                    try:
                        async with session.post(admin, json={"uri": handlers}) as answer:
                            if answer.ok:
                                return
                            words = await answer.text()
                    except aiohttp.ClientError as error:
                        words = str(error)
                    await asyncio.sleep(ASK_AGAIN_SECONDS)
        except TimeoutError:
            raise BenchError("\n  ".join([f"Restate was not ready: {words}; it said:", *tail(log)])) from None


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
