"""Pictures of results, as PNG beside them."""

from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.ticker import StrMethodFormatter

from bench.samples import Sample, figure, load
from bench.tables import LATENCIES

SIZE: Final = (11, 4.2)


def draw(name: str, part: dict[str, Any], out: Path) -> None:
    """Write `out/NAME.png`, for those parts that have a picture."""
    drawn = {"closed": _closed, "stages": _stages, "backlog": _backlog, "memory": _memory}.get(name)
    if "what" in part:
        drawn = _growth
    if drawn is not None:
        drawn(part)
        plt.tight_layout()
        plt.savefig(out / f"{name}.png", dpi=100)
        plt.close()


def _closed(part: dict[str, Any]) -> None:
    found = load(part["samples"])
    _, (rates, latencies) = plt.subplots(1, 2, figsize=SIZE)
    for name, levels in found.items():
        _curve(rates, levels, "pairs_per_second", name)
    for latency in LATENCIES:
        _curve(latencies, found["product"], latency, latency.replace("_", " "))
    _label(rates, "clients", "pairs of reserve and clear per second")
    _label(latencies, "clients", "milliseconds, product")


def _curve(axes: Any, levels: dict[int, list[Sample]], name: str, label: str) -> None:
    """Medians, with the range of the rounds."""
    spreads = [figure(samples, name) for samples in levels.values()]
    medians = [each.median for each in spreads]
    below = [each.median - each.least for each in spreads]
    above = [each.most - each.median for each in spreads]
    axes.errorbar(list(levels), medians, yerr=[below, above], marker="o", capsize=3, label=label)


def _label(axes: Any, across: str, up: str) -> None:
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()


def _stages(part: dict[str, Any]) -> None:
    levels = dict(reversed(part["levels"].items()))
    _, axes = plt.subplots(figsize=SIZE)
    stages = list(next(iter(levels.values()))["stages"])
    colours = [mpl.colormaps["tab20"](number) for number in range(len(stages))]
    left = dict.fromkeys(levels, 0.0)
    for colour, stage in zip(colours, stages, strict=True):
        widths = [found["stages"][stage]["mean"] for found in levels.values()]
        axes.barh([f"{level} clients" for level in levels], widths, left=list(left.values()), color=colour, label=stage)
        left = {level: left[level] + width for level, width in zip(levels, widths, strict=True)}
    axes.set_xlabel("milliseconds from sending to answer (mean)")
    axes.legend(fontsize="small", ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.3))


def _growth(part: dict[str, Any]) -> None:
    _, (rates, latencies) = plt.subplots(1, 2, figsize=SIZE)
    across = [point["x"] for point in part["points"]]
    for level in part["points"][0]["levels"]:
        found = [point["levels"][level] for point in part["points"]]
        rates.plot(across, [each["pairs_per_second"] for each in found], marker="o", label=f"{level} clients")
        for name, style in (("reserve_p50", "-"), ("reserve_p99", "--")):
            label = f"{name.replace('_', ' ')}, {level} clients"
            latencies.plot(across, [each[name] for each in found], style, marker="o", label=label)
    for axes, up in ((rates, "pairs of reserve and clear per second"), (latencies, "milliseconds")):
        _label(axes, part["what"], up)
        axes.set_xscale("log")
        axes.set_xticks(across, [f"{each:,}" for each in across], minor=False)
        axes.minorticks_off()


def _backlog(part: dict[str, Any]) -> None:
    curve = part["curve"]
    _, (applied, memory) = plt.subplots(1, 2, figsize=SIZE)
    applied.plot([point["seconds"] for point in curve], [point["applied"] for point in curve])
    applied.set_xlabel("seconds since the stack was ready")
    applied.set_ylabel("commands applied")
    _resident(memory, [point["applied"] for point in curve], curve)


def _memory(part: dict[str, Any]) -> None:
    _, axes = plt.subplots(figsize=SIZE)
    _resident(axes, [point["commands"] for point in part["points"]], part["points"])


def _resident(axes: Any, commands: list[int], points: list[dict[str, Any]]) -> None:
    for name in points[0]["resident_bytes"]:
        axes.plot(commands, [point["resident_bytes"][name] / 2**20 for point in points], label=name)
    axes.set_xlabel("commands")
    axes.set_ylabel("resident memory, MiB")
    axes.set_ylim(bottom=0)
    axes.legend()
