"""`make bench-counts`: what one client costs, counted: system calls and wake-ups of each process for one command.

Counts are steadier than clocks: a command takes the same calls on a machine that others use. What a process does
without being asked is counted for a while as well, and taken off.
"""

import asyncio
import re
import shutil
import time
from asyncio.subprocess import DEVNULL
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from signal import SIGINT
from tempfile import TemporaryDirectory
from typing import Any, Final

import click

from bench.errors import BenchError
from bench.procfs import descendants, wake_ups
from bench.stack import Shape, running
from bench.tables import table
from bench.worker import Worker, worker

PAIRS: Final = 200
WARM_UP_PAIRS: Final = 500
IDLE_SECONDS: Final = 3.0
ATTACH_SECONDS: Final = 1.0
SHOWN: Final = 6
WAKE_UPS: Final = "wake-ups"
_LINE: Final = re.compile(
    r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(?P<calls>\d+)\s+(?:\d+\s+)?(?P<name>[a-z_0-9]+)$", re.MULTILINE
)


@click.command()
@click.option("--pairs", default=PAIRS, show_default=True, type=click.IntRange(10))
def counts(*, pairs: int) -> None:
    """Count the system calls and wake-ups of a command, with one client, beside the floor's."""
    if shutil.which("strace") is None:
        raise BenchError("strace is missing: install it to count system calls")
    click.echo(asyncio.run(_counts(pairs)))


async def _counts(pairs: int) -> str:
    async with AsyncExitStack() as exit_stack:
        stack = await exit_stack.enter_async_context(running(Shape()))
        client = await exit_stack.enter_async_context(worker("bench.client", stack.url, stack.key))
        found = {f"product: {name}": each for name, each in (await _per_command(client, stack.pids(), pairs)).items()}
        floor = await exit_stack.enter_async_context(worker("bench.floor", stack.kafka, stack.postgres, stack.key))
        servers = {name: stack.pids()[name] for name in ("kafka", "postgres")}
        beside = await _per_command(floor, {"process": [floor.pid], **servers}, pairs, complete=True)
    return render(found | {f"complete floor: {name}": each for name, each in beside.items()})


def render(found: Mapping[str, Mapping[str, float]]) -> str:
    rows = []
    for name, each in found.items():
        calls = {call: count for call, count in each.items() if call != WAKE_UPS}
        most = sorted(calls.items(), key=lambda item: -item[1])[:SHOWN]
        words = ", ".join(f"{call} {count:.1f}" for call, count in most)
        rows.append([name, f"{sum(calls.values()):.0f}", f"{each[WAKE_UPS]:.1f}", words])
    return table(["for one command", "system calls", WAKE_UPS, "most of them"], rows)


async def _per_command(
    sender: Worker, pids: Mapping[str, list[int]], pairs: int, **extra: Any
) -> dict[str, dict[str, float]]:
    """Of each group of processes, without what it does unasked while so much time goes by."""
    job = {"clients": 1, "pairs": WARM_UP_PAIRS, **extra}
    await _slice(sender, job)
    found: dict[str, dict[str, float]] = {}
    for name, roots in pids.items():
        idle = await counted(roots, asyncio.sleep(IDLE_SECONDS))
        asked = await counted(roots, _slice(sender, job | {"pairs": pairs}))
        found[name] = {
            call: max(0.0, count - idle[0][call] * asked[1] / idle[1]) / (2 * pairs) for call, count in asked[0].items()
        }
        wakes, started = wake_ups(roots), time.monotonic()
        await asyncio.sleep(IDLE_SECONDS)
        rate = (wake_ups(roots) - wakes) / (time.monotonic() - started)
        wakes, started = wake_ups(roots), time.monotonic()
        await _slice(sender, job | {"pairs": pairs})
        extra_wakes = wake_ups(roots) - wakes - rate * (time.monotonic() - started)
        found[name][WAKE_UPS] = extra_wakes / (2 * pairs)
        click.echo(f"counted: {name}", err=True)
    return found


async def _slice(sender: Worker, job: dict[str, Any]) -> None:
    await sender.prepare(job)
    await sender.run()


async def counted(roots: list[int], work: Any) -> tuple[Counter[str], float]:
    """System calls by name while `work` goes on, and the seconds that it took."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "calls"
        attach = [word for pid in descendants(roots) for word in ("-p", str(pid))]
        spy = await asyncio.create_subprocess_exec(
            "strace", "-c", "-f", "--quiet=all", "-o", str(file), *attach, stdin=DEVNULL, start_new_session=True
        )
        await asyncio.sleep(ATTACH_SECONDS)
        started = time.monotonic()
        await work
        seconds = time.monotonic() - started
        spy.send_signal(SIGINT)
        await spy.wait()
        found = Counter({each["name"]: int(each["calls"]) for each in _LINE.finditer(file.read_text())})
    del found["total"]
    return found, seconds
