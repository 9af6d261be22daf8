"""The `allocations` command, run as a user runs it."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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


async def finish(process: Process, timeout_seconds: float = 90) -> Ran:
    out, err = await asyncio.wait_for(process.communicate(), timeout_seconds)
    assert process.returncode is not None
    ran = Ran(process.returncode, out.decode(), err.decode())
    assert "Traceback" not in ran.err, ran.err
    return ran


async def run(*arguments: object, **environment: str) -> Ran:
    return await finish(await start(*arguments, **environment))


async def interrupt_when(process: Process, is_time: Callable[[], bool]) -> Ran:
    """Ctrl-C at a moment that shows from outside."""
    async with asyncio.timeout(60):
        while not is_time() and process.returncode is None:
            await asyncio.sleep(0.005)
    if process.returncode is None:
        process.send_signal(signal.SIGINT)
    return await finish(process)
