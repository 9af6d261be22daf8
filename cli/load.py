"""`allocations load`: a captured topic, published again."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import click

from cli.connections import INTERRUPTED, errors_said, kafka_options, settings_of
from cli.progress import progress
from replay.capture_file import CaptureFileError
from replay.load import IN_FLIGHT, Load, Loaded, Orders
from replay.outcomes import NotAppliedError, count_outcomes, left_to_apply, wait_applied
from replay.pace import Due, as_captured, at_once, steady
from replay.plan import Plan, plan_of
from replay.rewrite import Rewriter
from replay.target import check_not_its_own, check_same_log, find_target
from service.errors import OperatorError
from service.postgres import connect
from service.process import stop_requested, unless
from service.settings import ServiceSettings

Pace = Callable[[Plan], Due]


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--speed", type=click.FloatRange(0, min_open=True), help="times the original pace  [default: 1]")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="records per second, instead of a pace")
@click.option("--fast", is_flag=True, help="as fast as possible, instead of a pace")
@click.option("--rewrite-ids", "seed", metavar="SEED", help="new ids, derived from the old ones and this text")
@click.option("--keep-connections", is_flag=True, help="with --rewrite-ids: the accounts stay the same ones")
@click.option("--keep-undecodable", is_flag=True, help="publish what is no command too, byte by byte")
@click.option(
    "--in-flight", default=IN_FLIGHT, show_default=True, type=click.IntRange(1, 100_000), help="unacknowledged at most"
)
@click.option("--postgres", help="the target's database: wait until all is applied there, and count the outcomes")
@click.option("--dry-run", is_flag=True, help="read FILE, say what is in it, and publish nothing")
@kafka_options
def load(
    file: Path,
    speed: float | None,
    rate: float | None,
    fast: bool,  # noqa: FBT001 - click's flags
    seed: str | None,
    keep_connections: bool,  # noqa: FBT001
    keep_undecodable: bool,  # noqa: FBT001
    in_flight: int,
    postgres: str | None,
    dry_run: bool,  # noqa: FBT001
    kafka: str | None,
    prefix: str | None,
) -> None:
    """Publish the commands in FILE, a capture, to another commands topic; at the pace at which they were captured.

    FILE is read to its end first: from one that is cut off or damaged nothing is published. The target's processors
    must have started once, because they start on an empty log only.

    \b
    What is changed in each command:
      receivedAt  the moment at which it is published; what was received before
                  an earlier record of its id was appended is so again
      deadline    at its distance from receivedAt; what was expired is so again
      issued      a token that had expired has expired, and one that had not
                  has not
      headers     `replayed-from` is added: topic/partition/offset of the record
                  in the capture
      partition   computed from the key and the target's number of partitions

    \b
    With --rewrite-ids also, by UUIDs that are derived from them and SEED:
      allocationId, adjustmentId, commandId, and unless --keep-connections
      connectionId: in the key, in these fields, in headers, and in other
      text fields that are equal to one of them; along with connections
      partnersConnectionId and the hash of the token

    Everything else stays. The same SEED makes the same ids; another one makes a load of its own, with accounts of its
    own. Without --rewrite-ids a capture is never written to the topic that it came from.

    Records that are no commands are counted and left out, or with --keep-undecodable published as they are on the
    partition of their number (modulo the target's). Commands of several ids that move one account may come out
    otherwise when they follow each other faster than they did.

    Exit status 0: all was acknowledged (with --postgres: and applied). 1: something was not; 78: FILE or the target is
    not right; 130: interrupted. Other connection settings are read from PROCESSOR_KAFKA_….
    """  # noqa: D301 - \b is click's
    pace = _pace(speed, rate, fast=fast)
    if keep_connections and seed is None:
        raise click.UsageError("--keep-connections goes with --rewrite-ids")
    rewriter = None if seed is None else Rewriter(seed, keep_connections=keep_connections)
    with errors_said():
        plan = _read(file)
        if dry_run:
            return
        settings = settings_of(kafka=kafka, prefix=prefix, postgres=postgres)
        orders = Orders(pace(plan), rewriter, keep_undecodable, in_flight)
        sys.exit(asyncio.run(_load(settings, file, plan, orders, counts=postgres is not None)))


def _pace(speed: float | None, rate: float | None, *, fast: bool) -> Pace:
    if (speed is not None) + (rate is not None) + fast > 1:
        raise click.UsageError("--speed, --rate and --fast exclude each other")
    if fast:
        return lambda _: at_once()
    if rate is not None:
        return lambda _: steady(rate)
    return lambda plan: as_captured(plan.first_ms, speed or 1.0)


def _read(file: Path) -> Plan:
    try:
        with progress("reading", file.stat().st_size, "bytes") as report:
            plan = plan_of(file, report)
    except CaptureFileError as error:
        raise OperatorError(f"{error}. Nothing was published") from error
    undecodable = "".join(f", {count} {reason}" for reason, count in sorted(plan.undecodable.items()))
    click.echo(
        f"{file}: {plan.commands} commands{undecodable}, of {plan.source.topic} (cluster {plan.source.cluster_id}), "
        f"over {(plan.last_ms - plan.first_ms) / 1000:.1f} s"
    )
    return plan


async def _load(settings: ServiceSettings, file: Path, plan: Plan, orders: Orders, *, counts: bool) -> int:
    stop = stop_requested()
    target = await find_target(settings)
    check_not_its_own(plan.source, target, orders.rewriter)
    if counts:
        await check_same_log(settings, target)
    load = Load(target, plan.source, orders)
    with progress("loading", plan.records, "records") as report:
        await unless(stop, load.run(settings, file, report))
    _say(load.loaded, plan)
    if load.loaded.failure or load.loaded.unacknowledged:
        return 1
    if stop.done():
        return INTERRUPTED
    return await _count(settings, load.loaded) if counts else 0


def _say(loaded: Loaded, plan: Plan) -> None:
    rate = loaded.acknowledged / loaded.seconds if loaded.seconds else 0.0
    left = plan.records - loaded.sent - loaded.skipped
    click.echo(
        f"acknowledged {loaded.acknowledged}, not acknowledged {loaded.unacknowledged}, "
        f"skipped {loaded.skipped} undecodable, not sent {left}; {loaded.seconds:.1f} s, {rate:.0f}/s"
    )
    if loaded.failure:
        click.echo(
            f"{loaded.failure}. With the same ids FILE can be loaded again: what is there is repeated or refused"
        )


async def _count(settings: ServiceSettings, loaded: Loaded) -> int:
    async with await connect(settings, "allocations-load") as connection:
        try:
            with progress("applying", await left_to_apply(connection, loaded.ends), "records") as report:
                await wait_applied(connection, loaded.ends, report)
        except NotAppliedError as error:
            click.echo(str(error), err=True)
            return 1
        outcomes = await count_outcomes(connection, loaded.ends)
    for outcome, count in sorted(outcomes.items()):
        click.echo(f"  {outcome:30} {count:>10}")
    if others := outcomes.total() - loaded.acknowledged:
        click.echo(f"  {others} of these are others' records between ours")
    return 0
