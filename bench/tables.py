"""Markdown tables of what was measured. Pure."""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any, Final

from bench.figures import ratios
from bench.samples import Samples, figure

PROCESSES: Final = ("ingress", "processor", "kafka", "postgres", "client")
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
    rows = []
    for level in next(iter(found.values())):
        for name, levels in found.items():
            medians = [median(each.cpu.get(process, 0.0) for each in levels[level]) for process in PROCESSES]
            others = figure(levels[level], "others_cores").median
            rows.append([str(level), name, *(f"{value:.2f}" for value in (*medians, sum(medians), others))])
    return table(["clients", "CPU per command, ms", *PROCESSES, "sum", "cores used by others"], rows)


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


def profile_table(cpu: dict[str, float], shares: dict[str, dict[str, float]], http_alone: float) -> str:
    """What each part costs a command, in microseconds, in the two processes that are ours."""
    names = sorted({name for each in shares.values() for name in each}, key=lambda name: -_cost(name, cpu, shares))
    rows = [
        [name, *(f"{1000 * cpu[process] * found.get(name, 0.0):.0f}" for process, found in shares.items())]
        for name in names
    ]
    rows.append(["**all of it**", *(f"**{1000 * cpu[process]:.0f}**" for process in shares)])
    lines = table(["part", *(f"{process}, µs" for process in shares)], rows)
    servers = ", ".join(f"{name} {1000 * cpu[name]:.0f}" for name in PROCESSES if name not in shares)
    alone = f"A bare web server alone, µs for a request: {1000 * http_alone:.0f}."
    return f"{lines}\n\nBeside them, µs: {servers}. {alone}"


def _cost(name: str, cpu: dict[str, float], shares: dict[str, dict[str, float]]) -> float:
    return sum(cpu[process] * found.get(name, 0.0) for process, found in shares.items())


def machine_lines(machine: dict[str, Any]) -> str:
    return "; ".join(f"{name}: {value}" for name, value in machine.items())
