"""Rates and latencies of a stack, in turns with one that stays the same: a few slices for every point of a curve.

A machine drifts within the hour that a curve takes; what two neighbours in time make of each other does not.
"""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

from bench.figures import spread
from bench.progress import progress
from bench.samples import Subject, rounds
from bench.stack import Stack
from bench.tables import LATENCIES
from bench.worker import worker

ROUNDS: Final = 5
SECONDS: Final = 1.5
WARM_UP: Final = {"clients": 64, "pairs": 4000}
NAMES: Final = ("pairs_per_second", *LATENCIES)


async def measure_levels(stack: Stack, beside: Stack, levels: Sequence[int], label: str) -> dict[str, Any]:
    """`levels`: medians of the rounds, by number of clients; `rates`: the pairs per second of each round, of both."""
    async with AsyncExitStack() as exit_stack:
        subjects = []
        for name, each in (("here", stack), ("beside", beside)):
            sender = await exit_stack.enter_async_context(worker("bench.client", each.url, each.key))
            subjects.append(Subject(name, sender, each.pids()))
            await subjects[-1].slice(WARM_UP)
        with progress((ROUNDS + 1) * len(levels) * len(subjects), label) as done:
            found = await rounds(subjects, levels, ROUNDS, SECONDS, done)
    return {
        "levels": {str(level): _medians(samples) for level, samples in found["here"].items()},
        "rates": {
            str(level): {
                name: [round(each.pairs_per_second, 2) for each in samples[level]] for name, samples in found.items()
            }
            for level in levels
        },
    }


def _medians(samples: Sequence[Any]) -> dict[str, float]:
    medians = {name: spread([getattr(each, name) for each in samples]).median for name in NAMES}
    processes = samples[0].cpu
    cpu = {f"cpu_{name}": spread([each.cpu[name] for each in samples]).median for name in processes}
    return {name: round(value, 4) for name, value in (medians | cpu).items()}
