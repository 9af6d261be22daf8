"""`allocations simulator`: BitGo on this desk, as a caller and as a server."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any, Final

import click

from bitgo.simulator.client_orders import ClientOrder
from bitgo.simulator.editions import Edition
from bitgo.simulator.ledger import Ledger
from bitgo.simulator.ledger_check import check as check_ledger
from bitgo.simulator.run import Partner, Report, run
from bitgo.simulator.scenario import Scenario, ScenarioError, built_in, load
from bitgo.simulator.settlements import Settlements
from bitgo.simulator.settlements_check import check_settlements
from bitgo.simulator.single import placed
from bitgo.simulator.tally import Tally
from bitgo.simulator.wire import Wire
from cli.simulator_options import ledger_option, open_ledger, partner_of, partner_options, until_done
from cli.simulator_serve import serve
from cli.simulator_shown import shown, telling
from schemas.fields import QUANTITY_MAX_DIGITS
from schemas.words import AfterFinal, Kind

DIFFERENCES_PRINTED: Final = 100


@click.group()
def simulator() -> None:
    """BitGo on this desk: it orders as clients do, calls a partner, and answers what a partner asks of it.

    The ledger is one file, which `run`, `order` and `serve` share. It survives a kill: what was in flight goes on.
    """


@simulator.command("list")
def list_scenarios() -> None:
    """List the scenarios that come along."""
    for name in built_in():
        click.echo(f"{name:22} {load(name).about}")


@simulator.command("run")
@click.argument("what", metavar="FILE|NAME|all")
@partner_options
@click.option("--orders", type=click.IntRange(1), help="how many  [default: the scenario's]")
@click.option("--at-once", type=click.IntRange(1), help="how many at the same time  [default: the scenario's]")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="orders per second at most  [default: no limit]")
@click.option("--seed", type=int, help="another seed, other orders  [default: the scenario's]")
@click.option(
    "--allocations-after-final", type=click.Choice([each.value for each in AfterFinal]), help="as the partner has it"
)
@click.option(
    "--deallocations-after-final", type=click.Choice([each.value for each in AfterFinal]), help="as the partner has it"
)
@click.option("--watch", is_flag=True, help="a live table of what happens")
def run_scenarios(what: str, rate: float | None, watch: bool, **given: Any) -> None:  # noqa: FBT001
    """Play a scenario against a partner, and compare both sides at the end.

    The same scenario and seed order the very same: run again with the same ledger, nothing is ordered twice, and what a
    kill or Ctrl-C left in flight goes on; a partner that knows the ids from another ledger needs another --seed.
    SIGUSR1 makes the next --key's turn. Exit status: 0 without differences, 1 with some, 2 when the partner cannot be
    reached or does not know the key.
    """
    partner = partner_of(given)
    changes = {name: given[name] for name in CHANGES}
    try:
        scenarios = [load(name).changed(**changes) for name in (built_in() if what == "all" else [what])]
    except ScenarioError as error:
        raise click.UsageError(str(error)) from None
    with open_ledger(given["file"]) as ledger:
        found = until_done(_play(scenarios, ledger, partner, rate, watch=watch))
    for report in found:
        for difference in report.differences[:DIFFERENCES_PRINTED]:
            click.echo(f"DIFFERS  {report.run}  {difference}")
        if len(report.differences) > DIFFERENCES_PRINTED:
            click.echo(f"DIFFERS  {report.run}  and {len(report.differences) - DIFFERENCES_PRINTED:,} more")
    sys.exit(1 if any(report.differences for report in found) else 0)


CHANGES: Final = ("orders", "at_once", "seed", "allocations_after_final", "deallocations_after_final")


async def _play(
    scenarios: list[Scenario], ledger: Ledger, partner: Partner, rate: float | None, *, watch: bool
) -> list[Report]:
    loop, reports = asyncio.get_running_loop(), []

    def rotating(wire: Wire) -> None:
        loop.add_signal_handler(signal.SIGUSR1, wire.rotate)

    for scenario in scenarios:
        tally = Tally()
        async with telling(tally, ledger, watch=watch):
            report = await run(scenario, ledger, partner, tally, orders_per_second=rate, ready=rotating)
        click.echo(shown(report, tally))
        reports.append(report)
    contradictions = check_ledger(ledger)
    for each in contradictions:
        click.echo(f"DIFFERS  ledger  {each}")
    if contradictions:
        raise click.ClickException("the simulator's own ledger contradicts itself")
    return reports


@simulator.command("order")
@click.argument("kind", type=click.Choice([each.value for each in Kind]))
@click.argument("quantity", metavar="QUANTITY")
@click.argument("currency")
@partner_options
@click.option("--account", default="desk", show_default=True, help="the client's account at the partner")
@click.option(
    "--finish", type=click.Choice(["clear", "release", "open"]), default="clear", show_default=True, help="how it ends"
)
@click.option("--edition", type=click.Choice([each.value for each in Edition]), default="seed", show_default=True)
def order_once(kind: str, quantity: str, currency: str, account: str, finish: str, edition: str, **given: Any) -> None:
    """One client's order: QUANTITY base units of CURRENCY to the partner (allocation) or back (deallocation).

    The account is made when it is new, and keeps its ids from then on.
    """
    partner = partner_of(given)
    if not (quantity.isascii() and quantity.isdigit() and len(quantity) <= QUANTITY_MAX_DIGITS and int(quantity) > 0):
        raise click.UsageError("QUANTITY must be a whole number of base units from 1 to 10^78 - 1")
    with open_ledger(given["file"]) as ledger:
        order, differences = until_done(
            placed(ledger, partner, Kind(kind), int(quantity), currency, account, finish, Edition(edition))  # type: ignore[arg-type]
        )
        _say_order(ledger, order)
    for difference in differences:
        click.echo(f"DIFFERS  {difference}")
    sys.exit(1 if differences else 0)


def _say_order(ledger: Ledger, order: ClientOrder) -> None:
    now = ledger.allocation(order.allocation_id)
    balance = ledger.balance(order.account.connection_id, order.currency)
    assert now is not None  # noqa: S101 - ordered a moment ago
    click.echo(f"{order.kind} {order.allocation_id} is {now.status}" + (f": {now.reason}" if now.reason else ""))
    click.echo(f"connection {order.account.connection_id} has {balance.available} available, {balance.held} held")


@simulator.command("check")
@ledger_option
def check(file: Path) -> None:
    """Does the ledger agree with itself? Exit status 1 when it does not."""
    if not file.exists():
        raise click.UsageError(f"there is no ledger at {file}")
    with open_ledger(file) as ledger:
        Settlements(ledger)
        contradictions = check_ledger(ledger) + check_settlements(ledger)
        count = sum(1 for _ in ledger.allocations())
    for each in contradictions:
        click.echo(each)
    click.echo(f"{count:,} allocations and deallocations, {len(contradictions)} contradictions")
    sys.exit(1 if contradictions else 0)


simulator.add_command(serve)
