"""`allocations verify`: are the tables what the log says?"""

from pathlib import Path
from typing import Any, Final

import click

from cli.bar import Bar
from cli.servers import ProofSettings, server_options, with_servers
from proof.chain import Heads, read_heads, together
from proof.differences import Difference
from proof.verify import verify as compare

DIFFERENT: Final = 1


@click.command()
@server_options
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
def verify(files: tuple[Path, ...], show: int, **servers: Any) -> None:
    """Compare every table with what follows from the log, and say what differs, allocation by allocation.

    Works while all runs, and when the processors are stopped: what was not applied or not published yet is counted and
    is no difference. Changes nothing. Exit status 0: no difference; 1: differences; 78: Kafka or Postgres does not
    answer, or they do not belong together.
    """
    heads = _noted(files)
    with_servers(servers, lambda settings: _verify(settings, heads, show))


def _noted(files: tuple[Path, ...]) -> Heads:
    noted = []
    for file in files:
        try:
            noted.append(read_heads(file.read_text()))
        except ValueError as error:
            raise click.BadParameter(f"{file} has no heads as /readyz of a processor says them: {error}") from None
    return together(noted)


async def _verify(settings: ProofSettings, heads: Heads, show: int) -> int:
    count = 0

    def report(difference: Difference) -> None:
        nonlocal count
        count += 1
        if count <= show:
            click.echo(str(difference))

    with Bar() as bar:
        verified = await compare(settings, heads, report, bar)
    if count > show:
        click.echo(f"… and {count - show:,} more")
    click.echo(
        f"{verified.commands:,} commands in {verified.partitions} partitions, {verified.allocations:,} allocations, "
        f"{verified.accounts:,} accounts: " + (f"{count:,} differences" if count else "no difference")
    )
    click.echo(f"not yet applied: {verified.not_applied:,} commands; not yet published: {verified.not_published:,}")
    return DIFFERENT if count else 0
