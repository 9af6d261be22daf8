"""How a run is shown: a live table, or a line every few seconds on standard error, and a last line."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import click

from bitgo.simulator.ledger import Ledger
from bitgo.simulator.order_book import OrderBook
from bitgo.simulator.run import Report
from bitgo.simulator.tally import Tally

TABLE_SECONDS: Final = 0.5
LINE_SECONDS: Final = 5.0


@asynccontextmanager
async def telling(tally: Tally, ledger: Ledger, *, watch: bool) -> AsyncIterator[None]:
    """Tells how far a run is, as long as it lasts."""
    task = asyncio.create_task(_table(tally, ledger) if watch else _lines(tally))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _table(tally: Tally, ledger: Ledger) -> None:
    from rich.live import Live  # noqa: PLC0415 - only where it is watched

    from bitgo.simulator.watch import page  # noqa: PLC0415

    with Live(page(tally), auto_refresh=False) as live:
        try:
            while True:
                tally.states = OrderBook(ledger, tally.scenario).count()
                live.update(page(tally), refresh=True)
                await asyncio.sleep(TABLE_SECONDS)
        finally:
            tally.states = OrderBook(ledger, tally.scenario).count()
            live.update(page(tally), refresh=True)


async def _lines(tally: Tally) -> None:
    while True:
        await asyncio.sleep(LINE_SECONDS)
        click.echo(
            f"{tally.scenario}: {tally.ended:,} of {tally.orders:,} orders, {tally.calls_per_second():,.0f} answers/s, "
            f"{tally.differences} differences",
            file=sys.stderr,
        )


def shown(report: Report, tally: Tally) -> str:
    """One line: what was ordered, what was done to the partner, how it came out."""
    faults = ", ".join(f"{count:,} {name}" for name, count in sorted(tally.faults.items()) if count) or "none"
    p50, p99 = tally.latency_ms(0.5, 0.99)
    compared = report.comparison
    listed = "lists not offered" if compared.listed is None else f"{compared.listed:,} listed"
    return (
        f"{report.run}: {report.orders:,} orders, {report.calls:,} calls in {report.seconds:.1f} s, "
        f"p50 {p50:.0f} ms, p99 {p99:.0f} ms; {compared.compared:,} compared, {listed}; "
        f"{len(report.differences):,} differences\n    faults: {faults}"
    )
