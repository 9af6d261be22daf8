"""`make bench-peers`: pairs of a reserve and its clear on the product and on Restate, in turns, by one cheap client."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from statistics import median

import click

from bench.figures import ratios
from bench.peers import restate_stack
from bench.peers.install import SkippedError, installed
from bench.progress import progress
from bench.samples import Sample, Samples, Subject, figure, rounds
from bench.stack import Shape, running
from bench.tables import table
from bench.worker import worker


@click.command()
@click.option("--levels", default="1,8,32,64", show_default=True, help="numbers of clients")
@click.option("--rounds", "count", default=5, show_default=True, type=click.IntRange(1))
@click.option("--seconds", default=1.5, show_default=True, help="length of a slice")
def peers(*, levels: str, count: int, seconds: float) -> None:
    """Compare the product with Restate: a fresh token per request for the product, none for Restate."""
    numbers = [int(level) for level in levels.split(",")]
    try:
        installed()
    except SkippedError as reason:
        click.echo(f"skipped: {reason}")
        return
    click.echo(render(asyncio.run(_compare(numbers, count, seconds)), numbers))


async def _compare(levels: Sequence[int], count: int, seconds: float) -> Samples:
    async with AsyncExitStack() as stack:
        peer = await stack.enter_async_context(restate_stack.running())
        product = await stack.enter_async_context(running(Shape()))
        subjects = [
            Subject(
                "product",
                await stack.enter_async_context(worker("bench.client", product.url, product.key)),
                product.pids(),
            ),
            Subject("Restate", await stack.enter_async_context(worker("bench.peers.client", peer.url)), peer.pids),
        ]
        for subject, other in (subjects, subjects[::-1]):
            subject.beside = other.all_pids()
        with progress((count + 1) * len(levels) * len(subjects), "comparing") as done:
            return await rounds(subjects, levels, count, seconds, done)


def render(found: Samples, levels: Sequence[int]) -> str:
    rows = []
    for level in levels:
        product, peer = found["product"][level], found["Restate"][level]
        compared = ratios(*([each.pairs_per_second for each in side] for side in (product, peer)))
        others = median(each.others_cores for each in (*product, *peer))
        sides = [words for side in (product, peer) for words in _words(side)]
        rows.append([str(level), f"{compared:.2f}", *sides, f"{others:.2f}"])
    heads = [f"{name}, {what}" for name in found for what in ("pairs/s", "reserve p50, ms", "CPU per command, ms")]
    return table(["clients", "product / Restate", *heads, "cores used by others"], rows)


def _words(samples: Sequence[Sample]) -> list[str]:
    cpu = median(sum(each.cpu.values()) for each in samples)
    rate, latency = figure(samples, "pairs_per_second"), figure(samples, "reserve_p50")
    return [f"{rate:.0f}", f"{latency.median:.1f}", f"{cpu:.2f}"]
