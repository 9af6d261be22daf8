"""`python -m tests.rolling.run`: from another source tree to this one and back, under load, and the check of it all."""

import asyncio
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

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
def main(*, base: str, rounds: int, clients: int, seed: int | None, own_balancer: bool) -> None:
    """Replace two processors and two ingresses one by one, from BASE to this tree and back, while BitGo calls.

    Exit status 0: no caller saw an error, and nothing was lost, doubled or contradicted.
    """
    chosen = random.randrange(10**9) if seed is None else seed
    with tempfile.TemporaryDirectory(prefix="allocations-rolling-", ignore_cleanup_errors=True) as folder:
        try:
            older = base or trees.default_base()
            clean = asyncio.run(_run(Path(folder), older, rounds, clients, chosen, own_balancer=own_balancer))
        except (LocalError, BenchError) as error:
            raise click.ClickException(str(error)) from error
    sys.exit(not clean)


async def _run(folder: Path, base: str, rounds: int, clients: int, seed: int, *, own_balancer: bool) -> bool:
    older, newer = trees.at(base, folder / "base"), trees.head()
    print(f"seed {seed}; from {older.name} to {newer.name} and back, {rounds} times", flush=True)
    async with AsyncExitStack() as exits:
        supervisor = await exits.enter_async_context(Supervisor(print))
        kafka = await start_kafka(folder, 1, supervisor, exits, print)
        postgres = await start_postgres(folder, supervisor, exits, print)
        servers = Servers("embedded", kafka, postgres)
        system = await exits.enter_async_context(running_system(servers, postgres, folder / "system", spawn=spawn))
        await migrated(system, older)
        file = folder / "history.jsonl"
        with History(file, system.partitions) as history:
            upgrade = Upgrade(system, history, Random(seed), clients, own_balancer=own_balancer)
            await upgrade.run(older, newer, rounds=rounds)
        found = await judge(system, file, newer)
    print("\n".join(["", *table(upgrade.replaced), "", f"{upgrade.balancer_name}, {clients} clients. {found.line()}"]))
    print("\n".join(found.details))
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
