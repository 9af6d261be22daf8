"""`python -m tests.rolling.run`: from another source tree to this one and back, under load, and the check of it all."""

import asyncio
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import click

from bench.errors import BenchError
from local.child import spawn
from local.report import LocalError
from local.servers import start_kafka, start_postgres
from local.supervisor import Supervisor
from tests.faults.run.history import History
from tests.rolling import trees
from tests.rolling.judge import judge
from tests.rolling.upgrade import Replaced, Upgrade
from tests.rolling.verbs import migrated
from tests.support.servers import Servers
from tests.support.system import running_system


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--base", default="", help="the older tree: git reference or folder  [default: newest tag, or HEAD^]")
@click.option("--rounds", default=1, show_default=True, type=click.IntRange(1, 100), help="how often there and back")
@click.option("--clients", default=12, show_default=True, type=click.IntRange(1, 200), help="how many callers")
@click.option("--seed", type=int, help="of the traffic")
@click.option("--own-balancer", is_flag=True, help="not HAProxy, even where it is installed")
@click.option("--with-a-migration", is_flag=True, help="this tree gets one migration more")
def main(**options: Any) -> None:
    """Replace two processors and two ingresses one by one, from BASE to this tree and back, while BitGo calls.

    Exit status 0: no caller saw an error, and nothing was lost, doubled or contradicted.
    """
    with tempfile.TemporaryDirectory(prefix="allocations-rolling-", ignore_cleanup_errors=True) as folder:
        try:
            clean = asyncio.run(_run(Path(folder), Options(**options)))
        except (LocalError, BenchError) as error:
            raise click.ClickException(str(error)) from error
    sys.exit(not clean)


@dataclass(frozen=True)
class Options:
    base: str
    rounds: int
    clients: int
    seed: int | None
    own_balancer: bool
    with_a_migration: bool


async def _run(folder: Path, options: Options) -> bool:
    older = trees.at(options.base or trees.default_base(), folder / "base")
    newer = trees.with_a_migration(folder / "newer") if options.with_a_migration else trees.head()
    seed = random.randrange(10**9) if options.seed is None else options.seed
    print(f"seed {seed}; from {older.name} to {newer.name} and back, {options.rounds} times", flush=True)
    async with AsyncExitStack() as exits:
        supervisor = await exits.enter_async_context(Supervisor(print))
        kafka = await start_kafka(folder, 1, supervisor, exits, print)
        postgres = await start_postgres(folder, supervisor, exits, print)
        servers = Servers("embedded", kafka, postgres)
        system = await exits.enter_async_context(running_system(servers, postgres, folder / "system", spawn=spawn))
        await migrated(system, older)
        file = folder / "history.jsonl"
        with History(file, system.partitions) as history:
            upgrade = Upgrade(system, history, Random(seed), options.clients, own_balancer=options.own_balancer)
            await upgrade.run(older, newer, rounds=options.rounds)
        found = await judge(system, file, newer)
    said = f"{upgrade.balancer_name}, {options.clients} clients. {found.line()}"
    print("\n".join(["", *table(upgrade.replaced), "", said, *found.details]))
    if upgrade.no_way_back:
        print(f"no way back: {older.name} says {upgrade.no_way_back}")
    return found.is_clean


def table(replaced: Sequence[Replaced]) -> Iterator[str]:
    """By what was replaced by what: how long it took, and the longest silence of a partition meanwhile."""
    yield "| replaced | by | times | stopped within | ready after | longest silence |"
    yield "|---|---|--:|--:|--:|--:|"
    for verb in ("processor", "ingress"):
        for tree in dict.fromkeys(each.tree for each in replaced):
            those = [each for each in replaced if each.name.startswith(verb) and each.tree == tree]
            if those:
                stop, ready, silence = (
                    max(getattr(each, f"{name}_seconds") for each in those) for name in ("stop", "ready", "silence")
                )
                yield f"| {verb} | {tree} | {len(those)} | {stop:.2f} s | {ready:.2f} s | {silence:.2f} s |"


main()
