"""The `allocations` command, run as a user runs it."""

import asyncio
import os
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from local.child import ended, kill
from tests.support.forked import AVAILABLE, fork

TIMEOUT_SECONDS = 90
ALLOCATIONS = Path(sys.executable).with_name("allocations")


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str


async def start(*arguments: object, **environment: str) -> Process:
    return await asyncio.create_subprocess_exec(
        ALLOCATIONS, *map(str, arguments), stdout=PIPE, stderr=PIPE, env=os.environ | environment
    )


async def finish(process: Process) -> Ran:
    out, err = await asyncio.wait_for(process.communicate(), TIMEOUT_SECONDS)
    assert process.returncode is not None
    ran = Ran(process.returncode, out.decode(), err.decode())
    assert "Traceback" not in ran.err, ran.err
    return ran


async def run(*arguments: object, **environment: str) -> Ran:
    """To its end. Where it is forked, its output goes to files."""
    if not AVAILABLE:
        return await finish(await start(*arguments, **environment))
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = fork([*map(str, arguments)], os.environ | environment, out.fileno(), err.fileno())
        try:
            status = await asyncio.wait_for(ended(process), TIMEOUT_SECONDS)
        finally:
            kill(process)
        ran = Ran(
            status, *(os.pread(each.fileno(), os.fstat(each.fileno()).st_size, 0).decode() for each in (out, err))
        )
    assert "Traceback" not in ran.err, ran.err
    return ran


async def interrupt_when(process: Process, is_time: Callable[[], bool]) -> Ran:
    """Ctrl-C at a moment that shows from outside."""
    async with asyncio.timeout(60):
        while not is_time() and process.returncode is None:
            await asyncio.sleep(0.005)
    if process.returncode is None:
        process.send_signal(signal.SIGINT)
    return await finish(process)
