"""`allocations policy try`: what policy would say, of a request or of a part of the log (docs/policy.md)."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO, Final

import click
from pydantic import ValidationError

from cli.bar import Bar
from cli.serve import read_settings
from cli.servers import ProofSettings, server_options, with_servers
from ingress.submit import reserve_command
from processor.domain.account import Account
from processor.domain.batch import Read, Record, usages_of, wanted
from processor.domain.policy import Connections, Judged, Known, OnFailure, PolicySettings, facts_of, judge
from processor.domain.usage import Usage, usage_key
from processor.plug.plug import Plug, plug_of
from processor.postgres import tables
from proof.trial.trial import APPROVED, Difference, Tried, described, try_log
from replay.capture import Wanted
from schemas import strict_json
from schemas.commands import Reserve
from schemas.http import RESERVE_BODIES
from schemas.words import AfterFinal, Kind, Scope
from service.errors import EXIT_OPERATOR, OperatorError
from service.postgres import connect

BODY_MAX_BYTES: Final = 64 * 1024


class Day(click.ParamType):
    """A day, in UTC."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            found = datetime.strptime(value, "%Y-%m-%d").replace(tzinfo=UTC)
            return found + timedelta(days=1) - timedelta(days=1)  # the day after it is asked for, too
        except (ValueError, OverflowError):
            self.fail(f"{value} is no day like 2026-11-28", param, ctx)


@click.group()
def policy() -> None:
    """Try the rules and the platform's own policy; docs/policy.md says what they are."""


@policy.command("try")
@server_options
@click.option("--request", type=click.File("rb"), help="a reserve's body as BitGo sends it; - is standard input")
@click.option("--kind", type=click.Choice([each.value for each in Kind]), default="allocation", show_default=True)
@click.option("--available", type=click.IntRange(0), help="with --request and no tables: the balance, in base units")
@click.option("--client-day-total", type=click.IntRange(0), help="the same: the client's sum of the day")
@click.option("--connection-day-total", type=click.IntRange(0), help="the same: the connection's sum of the day")
@click.option("--log", "log", is_flag=True, help="all reserves of a part of the log, with the facts of each")
@click.option("--from", "since", type=Day(), help="with --log: from this day on (UTC)  [default: yesterday]")
@click.option("--to", "until", type=Day(), help="with --log: up to this day, and with it  [default: that of --from]")
@click.option("--policy", "path", help="package.module:function  [default: PROCESSOR_POLICY]")
@click.option("--show", default=100, show_default=True, type=click.IntRange(1), help="differences to print")
@click.option("--json", "as_json", is_flag=True, help="one JSON document per line; all differences, then the counts")
def try_(
    request: BinaryIO | None,
    kind: str,
    available: int | None,
    client_day_total: int | None,
    connection_day_total: int | None,
    log: bool,  # noqa: FBT001
    since: datetime | None,
    until: datetime | None,
    path: str | None,
    show: int,
    as_json: bool,  # noqa: FBT001
    **servers: Any,
) -> None:
    """Say what policy would say, by the settings PROCESSOR_… of this environment. Changes nothing.

    Of a request (--request): with the facts of the tables, where --data, --postgres or PROCESSOR_POSTGRES_URL names
    them; else with what the options give. Of the log (--log): of each reserve that policy decided, with the facts that
    were recorded then; those whose verdict differs are printed, and all are counted. A policy that gives no verdict is
    a rejection, `policy_failed`, and never waited for.

    Exit status 0: it was tried, whatever it said; 78: it could not be, and a sentence says why.
    """
    if log is (request is not None):
        raise click.UsageError("name a request (--request FILE) or the log (--log)")
    if log:
        first = since or _yesterday()
        span = Wanted(since=first, until=(until or first) + timedelta(days=1))
        with_servers(servers, lambda settings: _try_log(_with(settings, path), span, show, as_json=as_json))
    assert request is not None  # noqa: S101 - with_servers ends the process
    command = _command(request, Kind(kind))
    if servers["data"] or servers["postgres"] or os.environ.get("PROCESSOR_POSTGRES_URL"):
        with_servers(servers, lambda settings: _try_on_tables(_with(settings, path), command, as_json=as_json))
    totals = {Scope.CLIENT: client_day_total, Scope.CONNECTION: connection_day_total}
    try:
        _try_alone(_with(read_settings(ProofSettings), path), command, available, totals, as_json=as_json)
    except OperatorError as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_OPERATOR)


def _yesterday() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)


def _with(settings: ProofSettings, path: str | None) -> ProofSettings:
    changes: dict[str, Any] = {"policy_on_failure": OnFailure.REJECT} | ({"policy": path} if path else {})
    return settings.model_copy(update=changes)


def _command(request: BinaryIO, kind: Kind) -> Reserve:
    """Raises UsageError with the fields that are wrong."""
    raw = request.read(BODY_MAX_BYTES + 1)
    if len(raw) > BODY_MAX_BYTES:
        raise click.UsageError(f"the request is over {BODY_MAX_BYTES} bytes")
    try:
        body = RESERVE_BODIES[kind].model_validate(strict_json.loads(raw))
    except strict_json.NotJsonError as error:
        raise click.UsageError(f"the request: {error}") from None
    except ValidationError as error:
        wrong = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_url=False))
        raise click.UsageError("the request: " + "; ".join(wrong)) from None
    return reserve_command(body, AfterFinal.CONFLICT)


@contextmanager
def _started(settings: ProofSettings) -> Iterator[Plug | None]:
    plug = plug_of(settings)
    try:
        if plug:
            plug.start()
        yield plug
    finally:
        if plug:
            plug.close()


def _try_alone(
    settings: ProofSettings,
    command: Reserve,
    available: int | None,
    totals: dict[Scope, int | None],
    *,
    as_json: bool,
) -> None:
    """Without tables nothing is known of connections."""
    now, rules = datetime.now(UTC), _without_connections(settings.rules)
    keys = {scope: usage_key(scope, command, now) for scope in totals}
    usages = {keys[scope]: Usage(keys[scope], 0, total) for scope, total in totals.items() if total is not None}
    account = None if available is None else Account(command.connection_id, command.amount.currency, 0, available)
    _try(settings, rules, command, Known(now, account, None, usages), as_json=as_json)


def _without_connections(rules: PolicySettings) -> PolicySettings:
    return PolicySettings(
        rules.currencies,
        rules.limits,
        Connections.OPEN,
        rules.client_daily_limits,
        rules.connection_daily_limits,
        rules.plugged,
    )


async def _try_on_tables(settings: ProofSettings, command: Reserve, *, as_json: bool) -> int:
    now, rules = datetime.now(UTC), settings.rules
    reads = [Read(Record(0, 0, now, None, None, []), command)]
    async with await connect(settings, "allocations-policy") as connection:
        found = await tables.load(connection, wanted(reads, usages=usages_of(reads, rules)))
    account = found.accounts.get((command.connection_id, command.amount.currency))
    known = Known(now, account, found.connections.get(command.connection_id), found.usages)
    await asyncio.to_thread(_try, settings, rules, command, known, as_json=as_json)
    return 0


def _try(settings: ProofSettings, rules: PolicySettings, command: Reserve, known: Known, *, as_json: bool) -> None:
    with _started(settings) as plug:
        started = time.perf_counter()
        judged = judge(command, known, rules, plug.ask if plug else None)
        milliseconds = (time.perf_counter() - started) * 1000
        trouble = plug.trouble() if plug else None
    _say(command, known, rules, judged, milliseconds, trouble, as_json=as_json)


def _say(
    command: Reserve,
    known: Known,
    rules: PolicySettings,
    judged: Judged,
    milliseconds: float,
    trouble: str | None,
    *,
    as_json: bool,
) -> None:
    usages = [known.usages.get(key) or Usage(key) for key in rules.usage_keys(command, known.recorded_at)]
    facts = facts_of(command, known, usages, rules)
    seen: dict[str, int | None] = {
        "available": facts.available,
        "held": facts.held,
        "connectionVersion": facts.connection.version if facts.connection else None,
        "clientDayTotal": facts.client_day_total,
        "connectionDayTotal": facts.connection_day_total,
    }
    document = {
        "verdict": "rejected" if judged.verdict.reason else APPROVED,
        "reason": judged.verdict.reason,
        "plug": judged.plug and judged.plug.model_dump(exclude_none=True),
        "milliseconds": round(milliseconds, 2),
        "trouble": trouble,
        "facts": seen,
    }
    if as_json:
        click.echo(json.dumps(document))
        return
    click.echo(_verdict(judged.verdict.reason))
    known_facts = [f"{name} {value}" for name, value in seen.items() if value is not None]
    click.echo("facts: " + (", ".join(known_facts) or "none"))
    if judged.plug:
        word = f", {judged.plug.reason}" if judged.plug.reason else ""
        click.echo(f"plug, version {judged.plug.version}: {judged.plug.verdict}{word}; {milliseconds:.1f} ms")
    elif rules.plugged:
        click.echo("plug: not asked, because a rule before it rejects")
    if trouble:
        click.echo(trouble)


def _verdict(reason: str | None) -> str:
    return f"rejected: {reason}" if reason else APPROVED


async def _try_log(settings: ProofSettings, span: Wanted, show: int, *, as_json: bool) -> int:
    shown = 0

    def differs(each: Difference) -> None:
        nonlocal shown
        shown += 1
        if as_json:
            click.echo(json.dumps(described(each)))
        elif shown <= show:
            click.echo(_line(each))

    with _started(settings) as plug, Bar() as bar:
        tried = await try_log(settings, settings.rules, plug.ask if plug else None, span, differs, bar)
    if as_json:
        click.echo(json.dumps(_counts(tried)))
        return 0
    if shown > show:
        click.echo(f"… and {shown - show:,} more")
    for (then, now), count in sorted(tried.changes.items(), key=lambda each: -each[1]):
        click.echo(f"{count:>10,}  {then}" + (f" → {now}" if then != now else ", as then"))
    click.echo(
        f"{tried.reserves:,} reserves, of which {shown:,} differ and policy was not asked of {tried.undecided:,}"
    )
    return 0


def _line(each: Difference) -> str:
    command = each.command
    return (
        f"{each.recorded_at:%Y-%m-%dT%H:%M:%S}Z  {command.kind:<12}  {command.allocation_id}  "
        f"{command.amount.quantity} {command.amount.currency}  {each.then} → {each.now}"
    )


def _counts(tried: Tried) -> dict[str, Any]:
    changes = [{"then": then, "now": now, "count": count} for (then, now), count in tried.changes.items()]
    return {"reserves": tried.reserves, "undecided": tried.undecided, "verdicts": changes}
