"""Two source trees side by side: both stacks run, the load goes to one and then to the other, round after round.

Kafka runs without Java's optimizing compiler here: what that takes for itself in the first minutes, at moments of its
own, is more than two trees differ by.
"""

import asyncio
import json
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from operator import truediv
from pathlib import Path
from statistics import median
from typing import Final

import click

from bench.figures import ratios
from bench.progress import progress
from bench.samples import Sample, Samples, Subject, document, figure, rounds
from bench.sources import source
from bench.stack import Shape, running
from bench.tables import cpu_table, latency_table, table
from bench.worker import worker
from local.archive import NO_OPTIMIZING

STEADY_JAVA: Final = {"JDK_JAVA_OPTIONS": NO_OPTIMIZING}


@click.command()
@click.option("--base", required=True, help="the tree to compare with: folder, git reference, or FOLDER@REFERENCE")
@click.option("--head", default=".", show_default=True, help="the tree that is compared, likewise")
@click.option("--levels", default="1,8,32", show_default=True, help="numbers of clients")
@click.option("--rounds", "count", default=12, show_default=True, type=click.IntRange(1))
@click.option("--seconds", default=1.0, show_default=True, help="length of a slice")
@click.option("--ingress", "ingresses", default=1, show_default=True, type=click.IntRange(1))
@click.option("--processors", default=1, show_default=True, type=click.IntRange(1))
@click.option("--partitions", default=8, show_default=True, type=click.IntRange(1))
@click.option("--json", "as_json", type=click.Path(dir_okay=False, path_type=Path), help="write every sample here")
def compare(
    base: str,
    head: str,
    levels: str,
    count: int,
    seconds: float,
    ingresses: int,
    processors: int,
    partitions: int,
    as_json: Path | None,
) -> None:
    """Compare two source trees: the ratio of the medians, and the spread of the rounds' own ratios."""
    sides = {"base": base, "head": head}
    numbers = [int(level) for level in levels.split(",")]
    found = asyncio.run(_compare(sides, numbers, count, seconds, Shape(ingresses, processors, partitions)))
    click.echo(render(found, numbers))
    if as_json:
        as_json.write_text(json.dumps(document(found), indent=1) + "\n")


async def _compare(sides: dict[str, str], levels: Sequence[int], count: int, seconds: float, shape: Shape) -> Samples:
    async with AsyncExitStack() as stack:
        subjects = []
        for side, words in sides.items():
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix=f"allocations-{side}-"))
            tree, commit = source(words, Path(folder))
            click.echo(f"{side}: {words}, commit {commit or 'unknown'}", err=True)
            up = await stack.enter_async_context(running(replace(shape, source=tree, settings=STEADY_JAVA)))
            sender = await stack.enter_async_context(worker("bench.client", up.url, up.key))
            subjects.append(Subject(side, sender, up.pids()))
        for subject in subjects:
            subject.beside = [pid for other in subjects if other is not subject for pid in other.all_pids()]
        with progress((count + 1) * len(levels) * len(subjects), "comparing") as done:
            return await rounds(subjects, levels, count, seconds, done)


def render(found: Samples, levels: Sequence[int]) -> str:
    """Three tables: rates, latencies, CPU."""
    base, head = found["base"], found["head"]
    rates = table(
        ["clients", "head / base", "median of the rounds", "CPU, head / base", "base, pairs/s", "head, pairs/s"],
        [
            [
                str(level),
                f"{ratios(_rates(head[level]), _rates(base[level])):.3f}",
                f"{median(map(truediv, _rates(head[level]), _rates(base[level]))):.3f}",
                f"{ratios(_cpu(head[level]), _cpu(base[level])):.3f}",
                f"{figure(base[level], 'pairs_per_second'):.0f}",
                f"{figure(head[level], 'pairs_per_second'):.0f}",
            ]
            for level in levels
        ],
    )
    return "\n\n".join([rates, latency_table(found), cpu_table(found)])


def _rates(samples: Sequence[Sample]) -> list[float]:
    return [each.pairs_per_second for each in samples]


def _cpu(samples: Sequence[Sample]) -> list[float]:
    return [sum(each.cpu.values()) for each in samples]
