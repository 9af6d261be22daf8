"""A processor is killed: how long its successor takes to be ready, and how long a request waits that was sent then.

The successor's time counts from its own start, because a supervisor makes ever longer pauses before further restarts;
the request's counts from the first kill, whose restart comes at once.
"""

import asyncio
import os
import signal
import time
from typing import Any, Final

import aiohttp

from bench.errors import BenchError
from bench.procfs import children, started_at
from bench.stack import Stack
from bench.worker import Worker, worker

TIMES: Final = 3
SECONDS_MAX: Final = 60.0
READY: Final = 200


async def measure_restarts(stack: Stack) -> dict[str, list[float]]:
    """Seconds, of a few kills. For stacks of one processor."""
    found: dict[str, list[float]] = {"ready": [], "answered": []}
    async with worker("bench.client", stack.url, stack.key) as sender:
        for _ in range(TIMES):
            await sender.prepare({"clients": 1, "pairs": 1})
            _kill(stack)
            answered, ready = await asyncio.gather(_answered(sender), _ready(stack))
            successor = _processor(stack)
            stack.pids()["processor"][:] = [successor]
            found["ready"].append(round(ready - started_at(successor), 3))
            found["answered"].append(round(answered, 3))
    return found


def _kill(stack: Stack) -> None:
    (pid,) = stack.pids()["processor"]
    os.kill(pid, signal.SIGKILL)


async def _answered(sender: Worker) -> float:
    timings: dict[str, Any] = await sender.run()
    if timings["wrong"]:
        raise BenchError(f"the request that waited for a new processor got another answer: {timings['wrong']}")
    return float(timings["reserve"][0]) / 1000


async def _ready(stack: Stack) -> float:
    """The time at which all processes of the stack are ready again."""
    addresses = [str(url).replace("/metrics", "/readyz") for url in stack.description["metrics"]]
    await asyncio.sleep(0.02)
    async with asyncio.timeout(SECONDS_MAX), aiohttp.ClientSession() as session:
        while not all([await _is_ready(session, address) for address in addresses]):  # noqa: ASYNC110 - nothing wakes us here
            await asyncio.sleep(0.01)
    return time.perf_counter()


async def _is_ready(session: aiohttp.ClientSession, address: str) -> bool:
    try:
        async with session.get(address) as response:
            return response.status == READY
    except aiohttp.ClientError:
        return False


def _processor(stack: Stack) -> int:
    up = stack.description["pids"]["up"]
    (pid,) = [pid for pid, words in children(up).items() if words[-1:] == ["processor"]]
    return pid
