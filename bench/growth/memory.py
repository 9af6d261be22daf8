"""Memory after ever more requests, and what each allocation has left on the disk."""

import time
from pathlib import Path
from typing import Any, Final

from bench.growth.disk import kafka_bytes, postgres_bytes
from bench.machine import facts
from bench.procfs import resident_bytes
from bench.progress import progress
from bench.samples import Subject
from bench.stack import Shape, running
from bench.worker import worker

CLIENTS: Final = 64
PAIRS: Final = 4000
STEPS_GUESSED: Final = 100


async def measure_memory(data: Path, seconds: float) -> dict[str, Any]:
    """Slices of load, one after the other, for as long as there is time."""
    points: list[dict[str, Any]] = []
    pairs, until = 0, time.monotonic() + seconds
    async with running(Shape(), data) as stack, worker("bench.client", stack.url, stack.key) as sender:
        product = Subject("product", sender, stack.pids())
        points.append({"commands": 0, "resident_bytes": resident_bytes(stack.pids())})
        with progress(STEPS_GUESSED, "load") as done:
            while time.monotonic() < until:
                sample = await product.slice({"clients": CLIENTS, "pairs": PAIRS})
                pairs += PAIRS
                rate = round(sample.pairs_per_second)
                memory = resident_bytes(stack.pids())
                points.append({"commands": 2 * pairs, "pairs_per_second": rate, "resident_bytes": memory})
                done(f"{2 * pairs} commands, {rate} pairs/s")
        return {
            "machine": facts(stack.postgres),
            "points": points,
            "allocations": pairs,
            "kafka_bytes": kafka_bytes(data),
            "postgres_bytes": postgres_bytes(stack.postgres),
        }
