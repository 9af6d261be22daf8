"""`python -m tests.soak.run`: for an hour, every ten minutes a failover, the loss of a broker, and a rolling restart.

On three brokers and a Postgres with a synchronous standby; two ingresses and two processors behind a balancer. Then
every answer is checked against the log, and `allocations verify` runs.
"""

import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

import click

from local.child import spawn
from local.report import LocalError
from service.migrations import migrate
from tests.faults.run.history import History
from tests.rolling import trees
from tests.rolling.judge import Judgement, judge
from tests.rolling.upgrade import Upgrade
from tests.soak.memory import Memory
from tests.soak.servers import Servers, servers
from tests.support import servers as addresses
from tests.support.system import running_system

RECOVERY_SECONDS: Final = 120
COPIES: Final = 3


@dataclass(frozen=True)
class Event:
    """`silence_seconds`: the longest time, from the event on, in which a partition gave no answer."""

    name: str
    lasted_seconds: float
    silence_seconds: float


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--minutes", default=60.0, show_default=True, type=click.FloatRange(1), help="how long in all")
@click.option(
    "--period", default=10.0, show_default=True, type=click.FloatRange(1), help="minutes between two of a kind"
)
@click.option("--clients", default=6, show_default=True, type=click.IntRange(1, 200), help="how many callers")
@click.option("--seed", type=int, help="of the traffic, and of which broker is lost")
def main(*, minutes: float, period: float, clients: int, seed: int | None) -> None:
    """Exit status 0: nothing was lost, doubled or contradicted, and every partition answered again each time."""
    if minutes < period:
        raise click.UsageError(f"nothing happens within {minutes:g} minutes: name a shorter --period")
    chosen = random.randrange(10**9) if seed is None else seed
    print(f"seed {chosen}", flush=True)
    with tempfile.TemporaryDirectory(prefix="allocations-soak-", ignore_cleanup_errors=True) as folder:
        try:
            found = asyncio.run(_run(Path(folder), minutes, period, clients, chosen))
        except LocalError as error:
            raise click.ClickException(str(error)) from error
    sys.exit(not found.findings.is_clean)


async def _run(folder: Path, minutes: float, period: float, clients: int, seed: int) -> Judgement:
    tree, dice = trees.head(), Random(seed)
    async with AsyncExitStack() as exits:
        started = await exits.enter_async_context(servers(folder))
        await asyncio.to_thread(migrate, started.postgres.primary.url)  # its commits wait for a proxy of this loop
        at = addresses.Servers("embedded", started.cluster.bootstrap, started.postgres.url)
        system = await exits.enter_async_context(
            running_system(at, at.postgres_url, folder / "system", spawn=spawn, replication=COPIES)
        )
        file, memory = folder / "history.jsonl", Memory(system.supervisor)
        with History(file, system.partitions) as history:
            upgrade = Upgrade(system, history, Random(seed), clients)
            async with asyncio.TaskGroup() as tasks, upgrade.under_load(tree):
                watching = tasks.create_task(memory.watch())
                soak = Soak(started, upgrade, history, memory, dice)
                await soak.last(minutes * 60, period * 60)
                watching.cancel()
        system.database_url = started.postgres.primary.url  # past the proxy, which needs this loop
        found = await judge(system, file, tree)
    print("\n".join(["", *soak.table(), "", *soak.memory_table(), "", found.line(), *found.details]), flush=True)
    return found


class Soak:
    def __init__(self, started: Servers, upgrade: Upgrade, history: History, memory: Memory, dice: Random) -> None:
        self._started = started
        self._upgrade = upgrade
        self._history = history
        self._memory = memory
        self._dice = dice
        self._events: list[Event] = []
        self._most: list[Mapping[str, int]] = []

    async def last(self, seconds: float, period: float) -> None:
        """Three events in each period, a quarter of it apart; what is left of it is calm."""
        end = time.monotonic() + seconds
        while time.monotonic() + period <= end + 1:
            began = time.monotonic()
            for number, (name, event) in enumerate(self._kinds(), 1):
                await asyncio.sleep(max(0.0, began + period * number / 4 - time.monotonic()))
                await self._happens(name, event)
            await asyncio.sleep(max(0.0, began + period - time.monotonic()))
            self._most.append(self._memory.begin_again())

    def _kinds(self) -> "Sequence[tuple[str, Callable[[], Awaitable[None]]]]":
        return (
            ("failover of Postgres", self._started.fail_over),
            ("loss of a broker", lambda: self._started.lose_a_broker(self._dice)),
            ("rolling restart", lambda: self._upgrade.replace_all(trees.head())),
        )

    async def _happens(self, name: str, event: Callable[[], Awaitable[None]]) -> None:
        began = time.monotonic()
        await event()
        over = time.monotonic()
        await asyncio.wait_for(self._history.all_answer(over), RECOVERY_SECONDS)
        happened = Event(name, over - began, self._history.silence(began, time.monotonic()))
        print(f"{self._history.calls:8d} calls  {happened}", flush=True)
        self._events.append(happened)

    def table(self) -> Iterator[str]:
        yield "| what happened | times | lasted at most | longest time without an answer from some partition |"
        yield "|---|--:|--:|--:|"
        for name in dict.fromkeys(each.name for each in self._events):
            those = [each for each in self._events if each.name == name]
            lasted, silent = max(e.lasted_seconds for e in those), max(e.silence_seconds for e in those)
            yield f"| {name} | {len(those)} | {lasted:.0f} s | {silent:.2f} s |"

    def memory_table(self) -> Iterator[str]:
        yield f"| MiB at most, in period | {' | '.join(str(n) for n in range(1, len(self._most) + 1))} |"
        yield "|---|" + "--:|" * len(self._most)
        for name in self._most[0] if self._most else ():
            yield f"| {name} | {' | '.join(str(each.get(name, '')) for each in self._most)} |"


main()
