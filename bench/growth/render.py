"""Tables of the growth parts. Pure."""

from collections.abc import Mapping
from statistics import median
from typing import Any, Final

from bench.figures import ratios
from bench.stack import PROCESSES
from bench.tables import LATENCIES, table

MEBIBYTE: Final = 2**20
LEAST_BYTES: Final = 1.0
"""Stores that hold less than this per allocation are left out."""


def curve(part: dict[str, Any]) -> str:
    """Rates, latencies and CPU at each point; restarts and memory where they were measured.

    The ratio is to the stack that took turns, which is as at the first point.
    """
    rows = []
    for point in part["points"]:
        for level, found in point["levels"].items():
            cpu = [f"{found[f'cpu_{name}']:.2f}" for name in PROCESSES]
            latencies = [f"{found[name]:.1f}" for name in LATENCIES]
            rates = point["rates"][level]
            ratio = f"{ratios(rates['here'], rates['beside']):.2f}"
            rows.append([f"{point['x']:,}", level, ratio, f"{found['pairs_per_second']:.0f}", *latencies, *cpu])
    heads = [f"{name.replace('_', ' ')}, ms" for name in LATENCIES]
    heads += [f"CPU of {name} per command, ms" for name in PROCESSES]
    sections = [
        table([part["what"], "clients", "of the first's rate, in turns", "pairs/s", *heads], rows),
        restarts(part),
        memory_by_point(part),
    ]
    return "\n\n".join(section for section in sections if section)


def restarts(part: dict[str, Any]) -> str:
    points = [point for point in part["points"] if "restart_seconds" in point]
    rows = [
        [
            f"{point['x']:,}",
            f"{median(point['restart_seconds']['ready']):.2f}",
            f"{point['restart_seconds']['answered'][0]:.2f}",
            f"{sum(point['postgres_bytes'].values()) / 2**30:.2f}",
        ]
        for point in points
    ]
    heads = [
        part["what"],
        "a new processor is ready after, s",
        "a request waits that was sent at the kill, s",
        "Postgres, GiB",
    ]
    return table(heads, rows) if rows else ""


def memory_by_point(part: dict[str, Any]) -> str:
    points = [point for point in part["points"] if "resident_bytes" in point]
    rows = [
        [f"{point['x']:,}", *(f"{point['resident_bytes'][name] / MEBIBYTE:.0f}" for name in PROCESSES)]
        for point in points
    ]
    return table([part["what"], *(f"{name}, MiB" for name in PROCESSES)], rows) if rows else ""


def backlog(part: dict[str, Any]) -> str:
    facts = table(
        ["", "figure"],
        [
            ["commands in the topic", f"{part['commands']:,}"],
            ["applied per second", f"{part['commands_per_second']:,}"],
            ["their events published per second", f"{part['events_per_second']:,}"],
            ["`up` ready after, s (with the whole backlog before it)", f"{part['up_seconds']:.1f}"],
        ],
    )
    first, last = (part["curve"][index]["resident_bytes"] for index in (0, -1))
    return "\n\n".join([facts, _memory(first, last, part["curve"][-1]["applied"]), disk(part)])


def memory(part: dict[str, Any]) -> str:
    first, last = part["points"][0], part["points"][-1]
    return "\n\n".join([_memory(first["resident_bytes"], last["resident_bytes"], last["commands"]), disk(part)])


def _memory(first: Mapping[str, int], last: Mapping[str, int], commands: int) -> str:
    rows = [[name, f"{first[name] / MEBIBYTE:.0f}", f"{last[name] / MEBIBYTE:.0f}"] for name in PROCESSES]
    return table(["resident memory, MiB", "at first", f"after {commands:,} commands"], rows)


def disk(part: dict[str, Any]) -> str:
    """Bytes for one allocation that was reserved and cleared, by store, and their sums."""
    rows: list[list[str]] = []
    for store in ("kafka_bytes", "postgres_bytes"):
        shares = {name: size / part["allocations"] for name, size in part[store].items()}
        rows.extend([name, f"{share:,.0f}"] for name, share in shares.items() if share >= LEAST_BYTES)
        rows.append([f"**{store.partition('_')[0].capitalize()}**", f"**{sum(shares.values()):,.0f}**"])
    return table(["store", f"bytes per allocation, of {part['allocations']:,}"], rows)
