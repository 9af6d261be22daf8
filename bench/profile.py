"""Where the CPU of ingress and processor goes under load, by part, and what HTTP costs alone.

py-spy looks at the Python stacks from outside. A sample belongs to the innermost frame that is neither Python's own
library nor the event loop; what is left is the loop itself, with its system calls.
"""

import asyncio
import re
import sys
import tempfile
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from signal import SIGINT
from statistics import median
from typing import Any, Final

from bench.errors import BenchError
from bench.machine import facts
from bench.progress import progress
from bench.samples import Sample, Subject
from bench.stack import Shape, Stack, running
from bench.worker import running_module, worker

LEVELS: Final = (1, 32)
SLICES: Final = 5
SAMPLES_PER_SECOND: Final = 200
LOOP: Final = "event loop and its system calls"
PARTS: Final = (
    ("HTTP", ("aiohttp/", "yarl/", "multidict/", "ingress/http/server.py", "ingress/routes.py")),
    ("token", ("jwt/", "cryptography/", "ingress/auth/signatures.py", "ingress/auth/access.py")),
    (
        "log lines and metrics",
        ("structlog/", "prometheus_client/", "/metrics.py", "service/logs.py", "ingress/http/middleware.py"),
    ),
    ("Kafka client", ("aiokafka/", "service/aiokafka_decoder.py", "ingress/kafka/publisher.py")),
    ("Faust", ("faust/", "mode/", "processor/kafka/transport.py")),
    (
        "Postgres client, statements",
        (
            "psycopg/",
            "psycopg_binary/",
            "service/postgres.py",
            "ingress/postgres/database.py",
            "processor/postgres/rows.py",
            "processor/postgres/store.py",
            "processor/postgres/tables.py",
        ),
    ),
    (
        "groups: who waits for whom",
        (
            "ingress/postgres/coalesce.py",
            "service/linger.py",
            "processor/kafka/batcher.py",
            "ingress/outcomes/",
            "ingress/auth/token_replay.py",
            "ingress/postgres/rows.py",
        ),
    ),
    ("events and their relay", ("processor/relay/relay.py", "processor/relay/outbox.py")),
    ("requests, records, answers", ("pydantic/", "schemas/", "ingress/")),
    ("deciding, journal, hashes", ("processor/",)),
)
_FRAME: Final = re.compile(r"\((?P<file>[^()]+?)(?::\d+)?\)$")
_STANDARD: Final = re.compile(r"/lib/python3\.\d+/(?!site-packages/)|/uvloop/|^<")


async def measure_profile(shape: Shape, seconds: float, warm_up_pairs: int) -> dict[str, Any]:
    """On a stack of its own: for each level the cost of a command, then the profiles; at last a bare web server."""
    async with running(shape) as stack, worker("bench.client", stack.url, stack.key) as sender:
        machine = facts(stack.postgres)
        product = Subject("product", sender, stack.pids())
        with progress(len(LEVELS) + 1, "profile") as done:
            await product.slice({"clients": 64, "pairs": warm_up_pairs})
            levels = {}
            for level in LEVELS:
                plain = [await _slice(product, level, seconds) for _ in range(SLICES)]
                cpu = {name: median(each.cpu[name] for each in plain) for name in plain[0].cpu}
                levels[level] = {"cpu": cpu, "shares": await _profiled(stack, product, level, seconds)}
                done(f"{level} clients, {median(each.pairs_per_second for each in plain):.0f} pairs/s")
            async with running_module("bench.bare") as server:
                alone = await _alone(server, stack.key, seconds)
            done("HTTP alone")
    return {"machine": machine, "levels": levels, "http_alone": alone}


async def _slice(subject: Subject, level: int, seconds: float) -> Sample:
    sample = await subject.slice({"clients": level, "pairs": subject.pairs(level, seconds)})
    subject.rates[level] = sample.pairs_per_second
    return sample


async def _profiled(stack: Stack, subject: Subject, level: int, seconds: float) -> dict[str, dict[str, float]]:
    """Each process in turn: one that is looked at is held up, and would hold up the other."""
    shares = {}
    with tempfile.TemporaryDirectory(prefix="allocations-profile-") as folder:
        for name in ("ingress", "processor"):
            file = Path(folder) / name
            [pid] = stack.pids()[name]
            spy = await _spy(pid, file)
            for _ in range(SLICES):
                await _slice(subject, level, seconds)
            spy.send_signal(SIGINT)
            if await spy.wait() != 0:
                raise BenchError(f"py-spy could not look at process {pid}; its words are above")
            shares[name] = parts(file.read_text().splitlines())
    return shares


async def _spy(pid: int, file: Path) -> Process:
    program = Path(sys.executable).with_name("py-spy")
    options = ["--format", "raw", "--rate", str(SAMPLES_PER_SECOND), "--full-filenames", "--output", str(file)]
    return await asyncio.create_subprocess_exec(
        program, "record", "--pid", str(pid), *options, stdout=asyncio.subprocess.DEVNULL
    )


def parts(lines: Iterable[str]) -> dict[str, float]:
    """The share of each part of the samples; a line is frames from the outermost, and how often they were seen."""
    seen: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        seen[part_of(stack.split(";"))] += int(count)
    if not seen:
        raise BenchError("py-spy saw nothing")
    return {name: count / seen.total() for name, count in seen.most_common()}


def part_of(frames: list[str]) -> str:
    """The part that the innermost telling frame belongs to."""
    for frame in reversed(frames):
        found = _FRAME.search(frame)
        if found is None or _STANDARD.search(found["file"]):
            continue
        for name, marks in PARTS:
            if any(mark in found["file"] for mark in marks):
                return name
    return LOOP


async def _alone(server: Process, key: str, seconds: float) -> float:
    """CPU of a bare web server for one command, in milliseconds, under the most clients."""
    assert server.stdout is not None  # noqa: S101
    url = (await server.stdout.readline()).decode().strip()
    async with worker("bench.client", url, key) as sender:
        subject = Subject("HTTP alone", sender, {"ingress": [server.pid]})
        found = [await _slice(subject, max(LEVELS), seconds) for _ in range(SLICES + 1)]
    return median(each.cpu["ingress"] for each in found[1:])
