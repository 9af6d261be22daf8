"""The live table: what a run does to its partner, and what it gets back."""

from collections.abc import Mapping
from typing import Final

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from bitgo.simulator.tally import Tally

ANSWERS_SHOWN: Final = 14


def page(tally: Tally) -> RenderableType:
    tables = {"orders": tally.states, "answers": tally.answers, "faults": tally.faults}
    return Group(
        _head(tally),
        Columns([_counts(title, counts) for title, counts in tables.items()], padding=(0, 2)),
        _differences(tally),
    )


def _head(tally: Tally) -> Panel:
    p50, p99, most = tally.latency_ms(0.5, 0.99, 1.0)
    line = Text.assemble(
        (f"{tally.ended:,} of {tally.orders:,} orders", "bold"),
        f"   {tally.begun - tally.ended:,} begun   {tally.calls:,} calls   {tally.calls_per_second():,.0f} answers/s",
        f"   p50 {p50:.0f} ms   p99 {p99:.0f} ms   slowest {most:.0f} ms   {tally.seconds:.0f} s",
    )
    return Panel(line, title=tally.scenario, title_align="left")


def _counts(title: str, counts: Mapping[str, int]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right")
    for name, count in sorted(counts.items(), key=lambda each: -each[1])[:ANSWERS_SHOWN]:
        if count:
            table.add_row(name, f"{count:,}")
    return table


def _differences(tally: Tally) -> Panel:
    if not tally.differences:
        return Panel(Text("none", style="green"), title="differences", title_align="left")
    text = Text("\n".join(tally.last_differences), style="red", overflow="ellipsis", no_wrap=True)
    return Panel(text, title=f"differences: {tally.differences:,}, the last ones", title_align="left")
