"""`make bench`: rates and latencies against the floor, an open loop, and the stages of a request."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import click

from bench.machine import facts
from bench.procfs import Pids, cpu_seconds, difference
from bench.profile import measure_profile
from bench.progress import progress
from bench.report import publish
from bench.samples import Sample, Samples, Subject, document, rounds
from bench.stack import Shape, Stack, running
from bench.stages import measure_stages
from bench.worker import worker

IDLE_SECONDS: Final = 3.0
PARTS: Final = ("closed", "open", "stages", "profile")


@dataclass(frozen=True)
class Plan:
    levels: tuple[int, ...]
    rounds: int
    seconds: float
    rates: tuple[int, ...]
    open_seconds: float
    stage_pairs: int
    warm_up_pairs: int
    floor_warm_up_pairs: int
    """The floor asks the most of the servers in the least time, and Java gets quicker for a long while."""


LONG: Final = Plan(
    (1, 8, 32, 64),
    rounds=7,
    seconds=1.0,
    rates=(25, 50, 100, 200, 300),
    open_seconds=8,
    stage_pairs=400,
    warm_up_pairs=3000,
    floor_warm_up_pairs=12_000,
)
QUICK: Final = Plan(
    (1, 8, 32, 64),
    rounds=2,
    seconds=0.7,
    rates=(50, 150),
    open_seconds=3,
    stage_pairs=100,
    warm_up_pairs=500,
    floor_warm_up_pairs=2000,
)


@click.command()
@click.option("--quick", is_flag=True, help="fewer and shorter rounds: under two minutes in all")
@click.option("--only", type=click.Choice(PARTS), multiple=True, help="one part; repeatable  [default: all]")
@click.option("--rounds", "count", type=click.IntRange(1), help="rounds that count, after one that does not")
@click.option("--seconds", type=click.FloatRange(0.1), help="length of a slice")
@click.option(
    "--out",
    default=".bench",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="folder for results",
)
@click.option("--ingress", "ingresses", default=1, show_default=True, type=click.IntRange(1))
@click.option("--processors", default=1, show_default=True, type=click.IntRange(1))
@click.option("--partitions", default=8, show_default=True, type=click.IntRange(1))
@click.option("--policy", help="with a platform's own policy, package.module:function  [default: none]")
def run(
    *,
    quick: bool,
    only: tuple[str, ...],
    count: int | None,
    seconds: float | None,
    out: Path,
    ingresses: int,
    processors: int,
    partitions: int,
    policy: str | None,
) -> None:
    """Measure one ingress and one processor, in turns with the floor: the same work without HTTP and without Faust."""
    standard = QUICK if quick else LONG
    plan = replace(standard, rounds=count or standard.rounds, seconds=seconds or standard.seconds)
    out.mkdir(parents=True, exist_ok=True)
    settings = {"PROCESSOR_POLICY": policy} if policy else {}
    asyncio.run(_run(Shape(ingresses, processors, partitions, settings=settings), plan, only or PARTS, out))
    click.echo(publish(out))


async def _run(shape: Shape, plan: Plan, parts: Sequence[str], out: Path) -> None:
    made: dict[str, Any] = {
        "ingresses": shape.ingresses,
        "processors": shape.processors,
        "partitions": shape.partitions,
    }
    made |= {"settings": dict(shape.settings)} if shape.settings else {}
    if "closed" in parts or "open" in parts:
        async with running(shape) as stack, worker("bench.client", stack.url, stack.key) as sender:
            common = made | {"machine": facts(stack.postgres)}
            product = Subject("product", sender, stack.pids())
            if "closed" in parts:
                common["idle_cores"] = await idle_cores(stack.pids())
                write(out / "closed.json", common | {"samples": document(await _closed(stack, product, plan))})
            if "open" in parts:
                found = await _open(product, plan)
                write(out / "open.json", common | {"samples": {rate: each.document() for rate, each in found.items()}})
    if "stages" in parts:
        write(out / "stages.json", made | await measure_stages(shape, plan.stage_pairs, plan.warm_up_pairs))
    if "profile" in parts:
        write(out / "profile.json", made | await measure_profile(shape, plan.seconds, plan.warm_up_pairs))


async def idle_cores(pids: Pids) -> dict[str, float]:
    """What each process uses of a core while nobody asks for anything."""
    before = cpu_seconds(pids)
    await asyncio.sleep(IDLE_SECONDS)
    used = difference(cpu_seconds(pids), before)
    return {name: round(seconds / IDLE_SECONDS, 4) for name, seconds in used.items()}


async def _closed(stack: Stack, product: Subject, plan: Plan) -> Samples:
    async with AsyncExitStack() as exit_stack:
        other = await exit_stack.enter_async_context(worker("bench.floor", stack.kafka, stack.postgres, stack.key))
        pids = stack.pids()
        servers = {name: pids[name] for name in ("kafka", "postgres")}
        idle = [product.worker.pid, *pids["ingress"], *pids["processor"]]
        product.beside = [other.pid]
        floors = [
            Subject(name, other, servers, idle, {"complete": complete})
            for name, complete in (("floor", False), ("complete floor", True))
        ]
        await floors[0].slice({"clients": 64, "pairs": plan.floor_warm_up_pairs})
        with progress((plan.rounds + 1) * len(plan.levels) * 3, "closed loop") as done:
            return await rounds([product, *floors], plan.levels, plan.rounds, plan.seconds, done)


async def _open(product: Subject, plan: Plan) -> dict[int, Sample]:
    found = {}
    product.beside = []
    with progress(len(plan.rates), "open loop") as done:
        await product.slice({"clients": 64, "pairs": plan.warm_up_pairs})
        for rate in plan.rates:
            job = {"pairs_per_second": rate, "pairs": round(rate * plan.open_seconds)}
            found[rate] = await product.slice(job)
            done(f"{rate} pairs/s: reserve p99 {found[rate].reserve_p99:.1f} ms")
    return found


def write(file: Path, part: dict[str, Any]) -> None:
    file.write_text(json.dumps(part, indent=1) + "\n")
    click.echo(f"wrote {file}", err=True)
