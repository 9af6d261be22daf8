"""A process of its own that measures, and the protocol with it: one line of JSON each way.

The bench sends a job; the worker prepares it (signs tokens) and says so; the bench looks at the clocks of all processes
and says go; the worker runs the job and gives its timings. So that what is prepared is in no figure.
"""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from signal import SIGTERM
from typing import Any, Final, cast

from bench.errors import BenchError
from local.child import die_with_parent

LINE_MAX_BYTES: Final = 64 * 1024 * 1024
SECONDS_MAX: Final = 120.0

Job = Mapping[str, Any]
Run = Callable[[], Awaitable[dict[str, Any]]]


class Worker:
    """The bench's end."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    async def prepare(self, job: Job) -> None:
        await self._say(job)
        await self._hear()

    async def run(self) -> dict[str, Any]:
        await self._say({})
        return await self._hear()

    async def _say(self, document: Job) -> None:
        assert self._process.stdin is not None  # noqa: S101
        self._process.stdin.write(json.dumps(document).encode() + b"\n")
        await self._process.stdin.drain()

    async def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101
        async with asyncio.timeout(SECONDS_MAX):
            line = await self._process.stdout.readline()
        if not line:
            raise BenchError("the process that sends the load has ended; its last words are above")
        return cast("dict[str, Any]", json.loads(line))


@asynccontextmanager
async def worker(module: str, *arguments: str) -> AsyncIterator[Worker]:
    async with running_module(module, *arguments) as process:
        yield Worker(process)


@asynccontextmanager
async def running_module(module: str, *arguments: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        stdin=PIPE,
        stdout=PIPE,
        limit=LINE_MAX_BYTES,
        start_new_session=True,
        preexec_fn=die_with_parent(SIGTERM),
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def serve(prepare: Callable[[dict[str, Any]], Awaitable[Run]]) -> None:
    """The worker's end: jobs until standard input ends. Other tasks run on while it waits for one."""
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        run = await prepare(json.loads(line))
        print("{}", flush=True)
        if not await lines.readline():
            return
        print(json.dumps(await run()), flush=True)
