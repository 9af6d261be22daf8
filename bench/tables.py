"""Markdown tables of what was measured. Pure."""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any, Final

from bench.figures import ratios
from bench.samples import Samples, figure
from bench.stack import PROCESSES

LATENCIES: Final = ("reserve_p50", "reserve_p99", "clear_p50", "clear_p99")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The first column names the row; the others are figures."""
    lines = [_line(heads), "|---" + "|--:" * (len(heads) - 1) + "|", *map(_line, rows)]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def floor_table(found: Samples) -> str:
    """The product and the floor, ratio first."""
    rows = []
    for level, samples in found["product"].items():
        rates = [each.pairs_per_second for each in samples]
        floors = [[each.pairs_per_second for each in found[name][level]] for name in ("floor", "complete floor")]
        compared = [f"{ratios(rates, floor):.2f}" for floor in floors]
        rows.append(
            [str(level), *compared, *(f"{figure(found[name][level], 'pairs_per_second'):.0f}" for name in found)]
        )
    heads = ["clients", "product / floor", "product / complete floor", *(f"{name}, pairs/s" for name in found)]
    return table(heads, rows)


def latency_table(found: Samples) -> str:
    """Medians of the rounds, and their range."""
    rows = [
        [str(level), name, *(f"{figure(samples[level], latency):.1f}" for latency in LATENCIES)]
        for level in next(iter(found.values()))
        for name, samples in found.items()
    ]
    return table(["clients", "", *(f"{latency.replace('_', ' ')}, ms" for latency in LATENCIES)], rows)


def cpu_table(found: Samples) -> str:
    """CPU for one command, by process: medians of the rounds."""
    rows, processes = [], (*PROCESSES, "client")
    for level in next(iter(found.values())):
        for name, levels in found.items():
            medians = [median(each.cpu.get(process, 0.0) for each in levels[level]) for process in processes]
            others = figure(levels[level], "others_cores").median
            rows.append([str(level), name, *(f"{value:.2f}" for value in (*medians, sum(medians), others))])
    return table(["clients", "CPU per command, ms", *processes, "sum", "cores used by others"], rows)


def open_table(samples: dict[str, dict[str, Any]]) -> str:
    """Rates that were asked for; latencies from the intended start."""
    names = ("reserve_p50", "reserve_p99", "reserve_p999", "reserve_max", "clear_p50", "clear_p99")
    rows = [
        [
            rate,
            f"{sample['pairs_per_second']:.0f}",
            *(f"{sample[name]:.1f}" for name in names),
            str(sum(sample["wrong"].values())),
        ]
        for rate, sample in samples.items()
    ]
    heads = [name.replace("_", " ").replace("p999", "p99.9") + ", ms" for name in names]
    return table(["pairs/s asked", "pairs/s done", *heads, "other answers than 200"], rows)


def stages_table(levels: dict[str, dict[str, Any]]) -> str:
    """Means, which add up, and their share of the whole."""
    rows = []
    for stage in next(iter(levels.values()))["stages"]:
        row = [stage]
        for found in levels.values():
            mean = found["stages"][stage]["mean"]
            row += [f"{mean:.2f}", f"{100 * mean / found['total']['mean']:.0f} %"]
        rows.append(row)
    totals = [word for found in levels.values() for word in (f"**{found['total']['mean']:.2f}**", "")]
    heads = [word for level in levels for word in (f"{level} clients, ms" if level != "1" else "1 client, ms", "share")]
    return table(["stage", *heads], [*rows, ["**from sending to answer**", *totals]])


def profile_table(levels: dict[str, dict[str, Any]], http_alone: float) -> str:
    """What each part costs a command, in microseconds, in the two processes that are ours."""
    columns = {
        (process, level): {part: 1000 * found["cpu"][process] * share for part, share in shares.items()}
        for level, found in levels.items()
        for process, shares in found["shares"].items()
    }
    *_, last = levels
    names = {part for costs in columns.values() for part in costs}
    ordered = sorted(
        names, key=lambda part: -sum(costs.get(part, 0.0) for (_, level), costs in columns.items() if level == last)
    )
    rows = [[part, *(f"{costs.get(part, 0.0):.0f}" for costs in columns.values())] for part in ordered]
    rows.append(["**all of it**", *(f"**{sum(costs.values()):.0f}**" for costs in columns.values())])
    heads = [f"{process}, µs, {level} client{'s' * (level != '1')}" for process, level in columns]
    return f"{table(['part', *heads], rows)}\n\nA bare web server alone, µs for a request: {1000 * http_alone:.0f}."


def machine_lines(machine: dict[str, Any]) -> str:
    return "; ".join(f"{name}: {value}" for name, value in machine.items())
