"""Rates and latencies of one stack as it stands: the same few slices for every point of a curve."""

from collections.abc import Sequence
from typing import Any, Final

from bench.figures import spread
from bench.progress import progress
from bench.samples import Subject, rounds
from bench.stack import Stack
from bench.worker import worker

ROUNDS: Final = 3
SECONDS: Final = 1.5
WARM_UP: Final = {"clients": 64, "pairs": 4000}
NAMES: Final = ("pairs_per_second", "reserve_p50", "reserve_p99", "clear_p50", "clear_p99")

Levels = dict[str, dict[str, float]]
"""Medians of the rounds, by number of clients."""


async def measure_levels(stack: Stack, levels: Sequence[int], label: str) -> Levels:
    async with worker("bench.client", stack.url, stack.key) as sender:
        product = Subject("product", sender, stack.pids())
        await product.slice(WARM_UP)
        with progress((ROUNDS + 1) * len(levels), label) as done:
            found = await rounds([product], levels, ROUNDS, SECONDS, done)
    return {str(level): _medians(samples) for level, samples in found["product"].items()}


def _medians(samples: Sequence[Any]) -> dict[str, float]:
    medians = {name: spread([getattr(each, name) for each in samples]).median for name in NAMES}
    processes = samples[0].cpu
    cpu = {f"cpu_{name}": spread([each.cpu[name] for each in samples]).median for name in processes}
    return {name: round(value, 4) for name, value in (medians | cpu).items()}
