"""What a request spends its time on, from the sending to the answer, in stages that add up.

Every process notes when it was where (`bench/probe`); a record's place in the log joins their notes. Where a stage
ended after the next one had (a record may reach the processor before its acknowledgement reaches the ingress), it
counts only as far as the next: nobody waited for the rest.
"""

import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Any, Final

from bench.errors import BenchError
from bench.figures import percentile
from bench.machine import facts
from bench.progress import progress
from bench.stack import Shape, running
from bench.worker import worker

LEVELS: Final = (1, 8)
WARM_UP_CLIENTS: Final = 64
PROBE: Final = Path(__file__).resolve().parent / "probe"
STAGES: Final = (
    "to the ingress, parsed, routed",
    "token verified",
    "body read, command made",
    "jti claimed",
    "published, acknowledged",
    "in Kafka until the processor has it",
    "in the processor until its batch starts",
    "rows loaded, unless cached",
    "decided",
    "written and committed",
    "ingress woken",
    "row read, unless it came with the notification",
    "answer made",
    "to the client",
)

Request = tuple[int, int]
Call = tuple[str, Request, float, float, list[str]]
Times = dict[str, float]
Trace = tuple[str, float, float]


async def measure_stages(shape: Shape, pairs: int, warm_up_pairs: int) -> dict[str, Any]:
    """On a stack of its own, whose processes carry the probe."""
    traces: dict[int, list[Trace]] = {}
    with tempfile.TemporaryDirectory(prefix="allocations-probe-") as folder:
        probed = replace(shape, path=(PROBE,), settings={"BENCH_PROBE": folder})
        async with running(probed) as stack, worker("bench.client", stack.url, stack.key) as sender:
            machine = facts(stack.postgres)
            with progress(len(LEVELS) + 1, "stages") as done:
                for level, count in ((WARM_UP_CLIENTS, warm_up_pairs), *((level, pairs) for level in LEVELS)):
                    await sender.prepare({"clients": level, "pairs": count, "trace": True})
                    traces[level] = (await sender.run())["trace"]
                    done(f"{level} clients, {count} pairs")
        calls = read(Path(folder))
    levels = {str(level): summary(joined(traces[level], calls)) for level in LEVELS}
    return {"machine": machine, "levels": levels}


def read(folder: Path) -> list[Call]:
    calls = []
    for number, file in enumerate(sorted(folder.glob("*.jsonl"))):
        for line in file.read_text().splitlines():
            name, request, *rest = json.loads(line)
            calls.append((name, (number, request), *rest))
    if not calls:
        raise BenchError("the probe noted nothing: is another sitecustomize before it on the path?")
    return calls


def joined(trace: Iterable[Trace], calls: Sequence[Call]) -> list[list[float]]:
    """For each request, when each stage ended; the first figure is when it was sent."""
    ingress, processor = _by_place(calls), _in_processor(calls)
    return [
        _path(sent, answered, ingress[_place(position)], processor[_place(position)])
        for position, sent, answered in trace
    ]


def _place(position: str) -> str:
    return position.partition("/")[2]


def _by_place(calls: Iterable[Call]) -> dict[str, Times]:
    """What an ingress noted of each request, by the place of its record."""
    requests: dict[Request, Times] = {}
    places: dict[str, Times] = {}
    for name, request, started, ended, about in calls:
        times = requests.setdefault(request, {})
        times[f"{name} started"], times[name] = started, ended
        if name == "Publisher.publish":
            places.update(dict.fromkeys(about, times))
    return places


def _in_processor(calls: Iterable[Call]) -> dict[str, Times]:
    """What a processor noted of each record. A batch's loading and saving end before the batch does; one that loads
    nothing has loaded when it starts.
    """
    places: dict[str, Times] = {}
    steps: Times = {}
    for name, _, started, ended, about in calls:
        if name in ("Store.load", "Store.commit"):
            steps |= {f"{name} started": started, name: ended}
        elif name == "Batcher.offer":
            for place in about:
                places.setdefault(place, {})["Batcher.offer started"] = started
        elif name == "Applier.__call__":
            for place in about:
                places.setdefault(place, {}).update(
                    {"Applier.__call__ started": started, "Store.load": started} | steps
                )
            steps = {}
    return places


def _path(sent: float, answered: float, ingress: Times, processor: Times) -> list[float]:
    ends = [
        ingress["answer_and_log started"],
        ingress["Access.bitgo"],
        ingress["Access.claim started"],
        ingress["Access.claim"],
        ingress["Publisher.publish"],
        processor["Batcher.offer started"],
        processor["Applier.__call__ started"],
        processor["Store.load"],
        processor["Store.commit started"],
        processor["Store.commit"],
        ingress["Outcomes._wait"],
        ingress["Outcomes.at"],
        ingress["answer_and_log"],
        answered,
    ]
    return [sent, *in_order(ends)]


def in_order(ends: Sequence[float]) -> list[float]:
    """No stage ends after a later one."""
    least, ordered = ends[-1], []
    for end in reversed(ends):
        least = min(least, end)
        ordered.append(least)
    return ordered[::-1]


def summary(paths: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Means add up; medians need not."""
    columns: Mapping[str, list[float]] = {name: [] for name in STAGES}
    for path in paths:
        for name, (earlier, later) in zip(STAGES, pairwise(path), strict=True):
            columns[name].append((later - earlier) * 1000)
    totals = [(path[-1] - path[0]) * 1000 for path in paths]
    return {
        "requests": len(paths),
        "stages": {name: _figures(values) for name, values in columns.items()},
        "total": _figures(totals),
    }


def _figures(values: Sequence[float]) -> dict[str, float]:
    return {"mean": round(mean(values), 4), "p50": round(percentile(values, 0.5), 4)}
