"""`allocations up`, through the same door as a user."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bitgo.client import BitGo, load_private_key

READY_SECONDS = 90
STOP_SECONDS = 30


@dataclass
class Stack:
    """What one `up` started; `description` is its line of JSON."""

    process: Process
    description: dict[str, Any]

    def pids(self) -> list[int]:
        found = self.description["pids"]
        single = [found[name] for name in ("up", "kafka", "postgres") if found[name]]
        return [*single, *found["ingress"], *found["processor"]]

    def alive(self) -> list[int]:
        return [pid for pid in self.pids() if _state(pid) != "Z"]

    def caller(self) -> BitGo:
        key = Path(self.description["privateKeyFile"]).read_bytes()
        return BitGo(self.description["ingress"], load_private_key(key))

    async def stop(self, *signals: signal.Signals) -> int:
        """Send the signals, and return the status when no process is left."""
        for each in signals:
            self.process.send_signal(each)
            await asyncio.sleep(0.05)
        status = await asyncio.wait_for(self.process.wait(), STOP_SECONDS)
        async with asyncio.timeout(STOP_SECONDS):
            while self.alive():
                await asyncio.sleep(0.05)
        return status


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"


Start = Callable[..., Awaitable[Stack]]


@pytest.fixture
async def up() -> AsyncIterator[Start]:
    """Start `up` on a folder; what is still there at the end is killed."""
    processes: list[Process] = []
    stacks: list[Stack] = []

    async def begin(data: Path, *options: object, **environment: str) -> Stack:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "cli", "up", "--data", str(data), "--port", "0", *map(str, options)),
            stdout=PIPE,
            env={**os.environ, **environment},
            start_new_session=True,
        )
        processes.append(process)
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), READY_SECONDS)
        assert line, "it ended before it was ready"
        stacks.append(Stack(process, json.loads(line)))
        return stacks[-1]

    yield begin
    for stack in stacks:
        for pid in stack.alive() if stack.process.returncode is None else ():
            os.kill(pid, signal.SIGKILL)
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.wait()
