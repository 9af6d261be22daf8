"""More processes, more partitions: one stack after the other, each fresh, in turns with one of the first shape."""

from collections.abc import Sequence
from typing import Any, Final

from bench.growth.levels import measure_levels
from bench.machine import facts
from bench.procfs import resident_bytes
from bench.stack import Shape, running

PROCESSES: Final = (1, 2, 4)
PARTITIONS: Final = (8, 32, 128)


async def measure_processes(levels: Sequence[int]) -> dict[str, Any]:
    """As many ingresses as processors."""
    return await _measure({number: Shape(number, number) for number in PROCESSES}, levels, "ingresses and processors")


async def measure_partitions(levels: Sequence[int]) -> dict[str, Any]:
    return await _measure({number: Shape(partitions=number) for number in PARTITIONS}, levels, "partitions")


async def _measure(shapes: dict[int, Shape], levels: Sequence[int], what: str) -> dict[str, Any]:
    points = []
    async with running(next(iter(shapes.values()))) as first:
        machine = facts(first.postgres)
        for number, shape in shapes.items():
            async with running(shape) as stack:
                found = await measure_levels(stack, first, levels, f"{number} {what}")
                points.append({"x": number, **found, "resident_bytes": resident_bytes(stack.pids())})
    return {"what": what, "machine": machine, "points": points}
