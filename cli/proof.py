"""`allocations verify` and `allocations rebuild`: are the tables what the log says, and how they become that."""

from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any, Final

import click

from cli.bar import Bar
from cli.servers import ProofSettings, server_options, with_servers
from processor.domain.journal import JournalRow
from processor.domain.policy import PluggedPolicy
from processor.plug.plug import plug_of
from proof.rebuild.rebuild import rebuild as fill
from proof.verify.chain import Heads, read_heads, together
from proof.verify.differences import Difference
from proof.verify.verify import verify as compare
from schemas.events import Facts
from schemas.words import Outcome

DIFFERENT: Final = 1

_checkpoint_option = click.option(
    "--checkpoint",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="start from a file of `allocations checkpoint` instead of the beginning",
)


@click.command()
@server_options
@_checkpoint_option
@click.option(
    "--heads",
    "files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="a noted answer of a processor's /readyz: its heads must be on the chain; repeatable",
)
@click.option(
    "--show", default=100, show_default=True, type=click.IntRange(1), help="differences to print; all are counted"
)
def verify(file: Path | None, files: tuple[Path, ...], show: int, **servers: Any) -> None:
    """Compare every table with what follows from the log, and say what differs, allocation by allocation.

    Works while all runs, and when the processors are stopped: what was not applied or not published yet is counted and
    is no difference. With --checkpoint, what is before it is not looked at, but for the rows that pruning leaves.
    Changes nothing. Exit status 0: no difference; 1: differences; 78: Kafka or Postgres does not answer, or they do not
    belong together.
    """
    heads = _noted(files)
    with_servers(servers, lambda settings: _verify(settings, heads, show, file))


def _noted(files: tuple[Path, ...]) -> Heads:
    noted = []
    for file in files:
        try:
            noted.append(read_heads(file.read_text()))
        except ValueError as error:
            raise click.BadParameter(f"{file} has no heads as /readyz of a processor says them: {error}") from None
    return together(noted)


async def _verify(settings: ProofSettings, heads: Heads, show: int, file: Path | None) -> int:
    count = 0

    def report(difference: Difference) -> None:
        nonlocal count
        count += 1
        if count <= show:
            click.echo(str(difference))

    with Bar() as bar:
        verified = await compare(settings, heads, report, bar, file)
    if count > show:
        click.echo(f"… and {count - show:,} more")
    click.echo(
        f"{verified.commands:,} commands in {verified.partitions} partitions, {verified.allocations:,} allocations, "
        f"{verified.accounts:,} accounts, {verified.connections:,} connections, {verified.adjustments:,} adjustments: "
        + (f"{count:,} differences" if count else "no difference")
    )
    before = f"; noted heads before the checkpoint: {verified.heads_before:,}" if verified.heads_before else ""
    click.echo(
        f"not yet applied: {verified.not_applied:,} commands; not yet published: {verified.not_published:,}{before}"
    )
    return DIFFERENT if count else 0


@click.command()
@server_options
@_checkpoint_option
@click.option("--resume", is_flag=True, help="go on from what is there: the database was restored from a backup")
def rebuild(file: Path | None, *, resume: bool, **servers: Any) -> None:
    """Fill an empty, migrated database from the commands and events of its log. The processors must be stopped.

    A command that has an event gets that event's outcome and facts, whatever the settings are today. What is behind the
    last event of its partition is decided again, with the settings of policy, PROCESSOR_CONNECTIONS to
    PROCESSOR_POLICY (docs/policy.md); decisions that depend on them or on balances are listed. With --checkpoint, an
    empty database gets its rows first; where log or tables were pruned, it is needed, with --resume too. When it was
    interrupted, run it again: it goes on. With --data, the database is migrated first, and connections are as
    `allocations up` had them.

    Exit status 0: all is there, and processors may start; 1: something could not be put back as it was, and is named;
    78: it could not begin or go on, and a sentence says why.
    """
    with_servers(servers, lambda settings: _rebuild(settings, file, resume=resume), migrated=True)


async def _rebuild(settings: ProofSettings, file: Path | None, *, resume: bool) -> int:
    listed = 0

    def list_anew(row: JournalRow) -> None:
        nonlocal listed
        listed += 1
        click.echo(f"decided anew: {settings.topics.commands}/{row.partition}/{row.offset} {_words(row)}")

    def say(difference: Difference) -> None:
        click.echo(f"passed over: {difference}", err=True)

    plug = plug_of(settings)
    with Bar() as bar, closing(plug) if plug else nullcontext():
        if plug:
            plug.start()
        policy = PluggedPolicy(settings.rules, plug.ask) if plug else settings.rules
        rebuilt = await fill(settings, policy, say, list_anew, bar, resume=resume, file=file)
    for gap in rebuilt.unfilled:
        click.echo(gap)
    click.echo(
        f"{rebuilt.by_events:,} commands by their events, {rebuilt.anew:,} decided anew, of which {listed:,} depend on "
        "settings or balances"
    )
    return DIFFERENT if rebuilt.unfilled else 0


def _words(row: JournalRow) -> str:
    """`reserve of deallocation …: rejected, insufficient_balance; found 5 BTC available, 0 held`."""
    reason = f", {row.reason}" if row.reason else ""
    facts = Facts.model_validate(row.facts or {})
    found = "".join(
        f"; found {each.available_before} {each.currency} available, {each.held_before} held"
        for each in facts.all_accounts
    )
    if facts.platform_account:
        found += f"; found it connected by {facts.platform_account.connected_before or 'none'}"
    became = row.outcome if row.outcome is Outcome.REFUSED else row.status_after
    return f"{row.verb} of {row.kind} {row.subject_id}: {became}{reason}{found}"
