"""A stack to measure: `allocations up` of a source tree, with everything in a folder that goes away with it.

Another tree's code runs on this environment's packages: its folder stands before ours on the path.
"""

import asyncio
import json
import os
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.errors import BenchError
from local.child import die_with_parent, tail

START_SECONDS: Final = 90.0
STOP_SECONDS: Final = 60.0
ROOT: Final = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Shape:
    """What the stack is made of, and settings as in the environment."""

    ingresses: int = 1
    processors: int = 1
    partitions: int = 8
    source: Path = ROOT
    path: tuple[Path, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)

    def arguments(self) -> list[str]:
        counts = {"ingress": self.ingresses, "processors": self.processors, "partitions": self.partitions}
        return [word for name, count in counts.items() for word in (f"--{name}", str(count))]


@dataclass(frozen=True)
class Stack:
    """A running one; `description` is what `allocations up` printed."""

    description: Mapping[str, Any]

    @property
    def url(self) -> str:
        return str(self.description["ingress"])

    @property
    def key(self) -> str:
        return str(self.description["privateKeyFile"])

    @property
    def postgres(self) -> str:
        return str(self.description["postgres"])

    @property
    def kafka(self) -> str:
        return str(self.description["kafka"])

    def pids(self) -> dict[str, list[int]]:
        """By name; whoever replaces a process writes the new one here."""
        pids = self.description["pids"]
        return {name: pids[name] if isinstance(pids[name], list) else [pids[name]] for name in PROCESSES}


PROCESSES: Final = ("ingress", "processor", "kafka", "postgres")


@asynccontextmanager
async def running(shape: Shape, data: Path | None = None) -> AsyncIterator[Stack]:
    """Start a stack and wait until it is ready; stop it in order. Without `data` its folder is a temporary one."""
    with tempfile.TemporaryDirectory(prefix="allocations-bench-", ignore_cleanup_errors=True) as temporary:
        folder = data or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        process = await _start(shape, folder)
        try:
            yield Stack(await _description(process, folder))
        finally:
            await _stop(process)


async def _start(shape: Shape, folder: Path) -> Process:
    arguments: list[str | Path] = ["-m", "cli", "up", "--data", folder, "--port", "0", *shape.arguments()]
    path = os.pathsep.join(str(each) for each in (shape.source, *shape.path))
    with (folder / "up.log").open("ab") as log:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            cwd=shape.source,
            env={**os.environ, **shape.settings, "PYTHONPATH": path},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=log,
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGTERM),
        )


async def _description(process: Process, folder: Path) -> dict[str, Any]:
    assert process.stdout is not None  # noqa: S101
    try:
        async with asyncio.timeout(START_SECONDS):
            line = await process.stdout.readline()
    except TimeoutError:
        line = b""
    if not line:
        raise BenchError("\n  ".join(["the stack did not start; it said:", *tail(folder / "up.log")]))
    description: dict[str, Any] = json.loads(line)
    return description


async def _stop(process: Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.send_signal(signal.SIGTERM)
        await process.wait()
