"""`make bench-growth`: each part can be run alone, and ends in its time."""

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from bench.growth.backlog import measure_backlog
from bench.growth.memory import measure_memory
from bench.growth.shapes import measure_partitions, measure_processes
from bench.growth.sizes import measure_sizes
from bench.report import publish
from bench.run import write


@dataclass(frozen=True)
class Limits:
    """`data` is the folder of the stack: one that is kept can be gone on with. `seconds` bounds a part's long step."""

    data: Path
    seconds: float
    sizes: tuple[int, ...]
    backlog: int
    levels: tuple[int, ...]


PARTS: Final[dict[str, Callable[[Limits], Awaitable[dict[str, Any]]]]] = {
    "sizes": lambda limits: measure_sizes(limits.data, limits.sizes, limits.levels, limits.seconds),
    "processes": lambda limits: measure_processes(limits.levels),
    "partitions": lambda limits: measure_partitions(limits.levels),
    "backlog": lambda limits: measure_backlog(limits.data, limits.backlog, limits.seconds),
    "memory": lambda limits: measure_memory(limits.data, limits.seconds),
}


@click.command()
@click.option("--only", type=click.Choice(tuple(PARTS)), multiple=True, help="one part; repeatable  [default: all]")
@click.option(
    "--seconds",
    default=120.0,
    show_default=True,
    type=click.FloatRange(1),
    help="longest time for filling tables, for draining, for the load of the part memory",
)
@click.option("--sizes", default="10000,1000000", show_default=True, help="allocations in the tables")
@click.option("--backlog", default=50_000, show_default=True, type=click.IntRange(1), help="pairs in the full topic")
@click.option("--levels", default="1,8,32", show_default=True, help="numbers of clients")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="keep the stack's data here; the part sizes fills on from what it finds  [default: a temporary folder]",
)
@click.option(
    "--out",
    default=".bench",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="folder for results",
)
def growth(
    only: tuple[str, ...], seconds: float, sizes: str, backlog: int, levels: str, data: Path | None, out: Path
) -> None:
    """Measure at growing tables, with more processes and partitions, from a full topic, and after many commands."""
    out.mkdir(parents=True, exist_ok=True)
    for name in only or PARTS:
        with ExitStack() as stack:
            folder = data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="allocations-bench-")))
            limits = Limits(folder.absolute(), seconds, _numbers(sizes), backlog, _numbers(levels))
            found = asyncio.run(_measure(name, limits))
        file = out / f"{name}.json"
        write(file, _gone_on(file, found) if data and name == "sizes" else found)
    click.echo(publish(out))


def _gone_on(file: Path, found: dict[str, Any]) -> dict[str, Any]:
    """With the points of an earlier call on the same data, as far as they are below."""
    earlier = json.loads(file.read_text())["points"] if file.exists() else []
    least = found["points"][0]["x"]
    return found | {"points": [*(point for point in earlier if point["x"] < least), *found["points"]]}


async def _measure(name: str, limits: Limits) -> dict[str, Any]:
    return await PARTS[name](limits)


def _numbers(words: str) -> tuple[int, ...]:
    return tuple(int(word) for word in words.split(","))
