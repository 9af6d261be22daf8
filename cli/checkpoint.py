"""`allocations checkpoint` and `allocations prune`: what may be deleted, because it is written down elsewhere."""

from pathlib import Path
from typing import Any

import click

from cli.bar import Bar
from cli.connections import is_there
from cli.servers import ProofSettings, server_options, with_servers
from proof.checkpoint.checkpoint import take_checkpoint
from proof.checkpoint.prune import Pruned
from proof.checkpoint.prune import prune as delete


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@server_options
def checkpoint(file: Path, **servers: Any) -> None:
    """Write all that follows from the log, but for its history, and where each partition stands, to FILE.

    `verify` and `rebuild` can start from it; `prune` deletes what is before it. It is taken in one snapshot of the
    tables, while all runs or when it is stopped, and says nothing about whether they are right: let `verify` look,
    before anything is deleted. FILE has its name when it is complete. Exit status 0: complete; 78: it can not be
    taken now, and a sentence says why.
    """
    if is_there(file):
        raise click.BadParameter(f"{file} exists, and a checkpoint is never overwritten: name another file")
    if not file.absolute().parent.is_dir():
        raise click.BadParameter(f"there is no folder {file.absolute().parent}: make it, or name another file")

    async def work(settings: ProofSettings) -> int:
        with Bar() as bar:
            taken = await take_checkpoint(settings, file, bar)
        positions = ", ".join(f"{partition}: {mark.next_offset}" for partition, mark in taken.checkpoint.marks.items())
        click.echo(
            f"{taken.checkpoint.states:,} allocations, accounts, connections and adjustments, {taken.kept:,} journal "
            f"rows that stay, in {file}"
        )
        click.echo(f"{taken.checkpoint.commands_topic} up to, by partition: {positions}")
        return 0

    with_servers(servers, work)


@click.command()
@click.option(
    "--checkpoint",
    "file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="a file of `allocations checkpoint`: what is before it is deleted",
)
@click.option("--log", is_flag=True, help="delete the records of the commands topic, too")
@server_options
def prune(file: Path, *, log: bool, **servers: Any) -> None:
    """Delete journal, ledger and handled dead letters from before a checkpoint, while all runs.

    From then on `verify` and `rebuild` need that checkpoint, or a later one: keep it where the database's disk is not.
    Allocations, accounts, open dead letters and the last row of each partition stay; the topic of events is left alone.
    Without --log, it says which records of the commands topic may be deleted. When it was interrupted, run it again.

    Exit status 0: all is deleted; 78: the checkpoint does not fit log and tables, or Kafka or Postgres does not answer.
    """

    async def work(settings: ProofSettings) -> int:
        with Bar() as bar:
            done = await delete(settings, file, bar, log=log)
        for each in done:
            click.echo(_line(settings, each))
        return 0

    with_servers(servers, work)


def _line(settings: ProofSettings, each: Pruned) -> str:
    words = (
        f"records before offset {each.needed_from} may be deleted"
        if each.log_start < each.needed_from
        else f"the log starts at offset {each.log_start}"
    )
    return f"{settings.topics.commands}/{each.partition}: {each.rows:,} journal rows deleted; {words}"
