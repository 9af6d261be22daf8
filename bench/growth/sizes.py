"""The same load on ever more rows, in turns with a stack that keeps few."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from bench.growth.disk import postgres_bytes
from bench.growth.fill import CHUNK, fill
from bench.growth.levels import measure_levels
from bench.growth.restart import measure_restarts
from bench.machine import facts
from bench.progress import progress
from bench.stack import Shape, running

FEWEST: Final = 10_000


async def measure_sizes(data: Path, sizes: Sequence[int], levels: Sequence[int], seconds: float) -> dict[str, Any]:
    """Fill to each size in turn, as far as the time goes, and measure there."""
    points: list[dict[str, Any]] = []
    async with running(Shape(), data) as stack, running(Shape()) as small:
        machine = facts(stack.postgres)
        _fill(small.postgres, FEWEST, seconds)
        for size in sizes:
            reached = _fill(stack.postgres, size, seconds)
            if points and reached == points[-1]["x"]:
                break
            found = await measure_levels(stack, small, levels, f"{reached} allocations")
            restarts = await measure_restarts(stack)
            sizes_now = postgres_bytes(stack.postgres)
            points.append({"x": reached, **found, "restart_seconds": restarts, "postgres_bytes": sizes_now})
            if reached < size:
                click.echo(f"time was up at {reached} of {size} allocations; --data and a second call go on", err=True)
    return {"what": "allocations in the tables", "machine": machine, "points": points}


def _fill(postgres: str, size: int, seconds: float) -> int:
    with progress(-(-size // CHUNK), f"filling to {size} allocations") as done:
        return fill(postgres, size, seconds, lambda made: done(f"{made} allocations"))
