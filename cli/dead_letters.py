"""`allocations dead-letters`: what was no command, and what is to be done with it."""

import asyncio
import getpass
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from cli.connections import OFFSET, PARTITION, Instant, Text, errors_said, kafka_options, postgres_option, settings_of
from cli.dead_letter_words import bytes_document, document, line, prospect_of, rows, safe
from replay import dead_letters as dead_letter
from replay.dead_letters import (
    Connection,
    Content,
    DeadLetter,
    Filter,
    RefusedError,
    find,
    load_content,
    load_one,
)
from replay.retry import UnknownError
from replay.retrying import handling, retrying
from schemas.words import ParkReason
from service.log_checks import load_identity
from service.migrations import check_migrations
from service.postgres import connect
from service.settings import ServiceSettings

REFUSED: Final = 3

T = TypeVar("T")


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"account number {os.getuid()}"


_by = click.option(
    "--by", type=Text(), default=_account, show_default="the account", help="who does it, for the record"
)


@click.group()
def dead_letters() -> None:
    """Records of the commands topic that were no commands: look at them, retry them, discard them.

    Each is parked once, with every byte, and blocks nothing. Exit status 0: done; 1: Kafka or Postgres did not answer,
    or an outcome is not known yet, and the same command again finds out; 3: refused, with the reason; 78: the database
    or the topics are not right.
    """


@contextmanager
def _said() -> Iterator[None]:
    with errors_said():
        try:
            yield
        except RefusedError as error:
            click.echo(f"refused: {safe(str(error))}", err=True)
            sys.exit(REFUSED)
        except UnknownError as error:
            click.echo(f"not known: {safe(str(error))}", err=True)
            sys.exit(1)


@dead_letters.command("list")
@click.option("--partition", type=PARTITION, help="only of this one")
@click.option("--reason", type=click.Choice([each.value for each in ParkReason]), help="only those parked for this")
@click.option("--since", type=Instant(), help="only from this instant on: 2026-11-21T15:00:00Z, or 15m, 2h, 3d ago")
@click.option("--all", "handled_too", is_flag=True, help="those that were retried or discarded, too")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000), help="at most so many")
@click.option("--json", "as_json", is_flag=True, help="one JSON object on each line")
@postgres_option
def list_(
    partition: int | None,
    reason: str | None,
    since: datetime | None,
    handled_too: bool,  # noqa: FBT001 - click's flags
    limit: int,
    as_json: bool,  # noqa: FBT001
    postgres: str,
) -> None:
    """List the open dead letters, the oldest first.

    Open is what was neither retried nor discarded; `begun`: nobody knows yet what became of its retry.
    """
    which = Filter(partition, None, ParkReason(reason) if reason else None, since, handled_too)
    with _said():
        letters, total = asyncio.run(_with(settings_of(postgres=postgres), lambda found: find(found, which, limit)))
    for letter in letters:
        click.echo(json.dumps(document(letter)) if as_json else line(letter))
    if not as_json and not letters:
        click.echo("no dead letters" if handled_too else "no open dead letters")
    if total > len(letters):
        click.echo(f"{len(letters)} of {total} shown: more with --limit", err=True)


@dead_letters.command()
@click.argument("partition", type=PARTITION)
@click.argument("offset", type=OFFSET)
@click.option("--json", "as_json", is_flag=True, help="a JSON object, with the bytes in base64")
@click.option(
    "--save", type=click.Path(dir_okay=False, path_type=Path), help="write the value, byte by byte, to a file"
)
@postgres_option
def show(partition: int, offset: int, as_json: bool, save: Path | None, postgres: str) -> None:  # noqa: FBT001
    """Show one dead letter: its bytes, printed safely, why it was parked, what was done, and what a retry would do."""

    async def work(connection: Connection) -> tuple[DeadLetter, Content, str]:
        letter = await load_one(connection, partition, offset)
        content = await load_content(connection, letter)
        identity = await load_identity(connection)
        return letter, content, prospect_of(content, identity.partitions if identity else 1)

    with _said():
        letter, content, prospect = asyncio.run(_with(settings_of(postgres=postgres), work))
        if save:
            _save(save, content)
    if as_json:
        click.echo(json.dumps(document(letter) | bytes_document(content) | {"retry": prospect}))
    else:
        for name, words in rows(letter, content, prospect):
            click.echo(f"{name:12} {words}")


def _save(file: Path, content: Content) -> None:
    try:
        with file.open("xb") as saved:
            saved.write(content.value or b"")
    except FileExistsError:
        raise RefusedError(f"{file} exists, and nothing is overwritten: name another file") from None


@dead_letters.command()
@click.argument("partition", type=PARTITION, required=False)
@click.argument("offset", type=OFFSET, required=False)
@click.option("--id", "subject_id", type=click.UUID, help="all open ones of this id, the oldest first")
@click.option("--reason", type=Text(), help="why, for the record")
@_by
@postgres_option
@kafka_options
def retry(
    partition: int | None,
    offset: int | None,
    subject_id: Any,
    reason: str | None,
    by: str,
    postgres: str,
    kafka: str | None,
    prefix: str | None,
) -> None:
    """Publish the command of a dead letter again: under its own id as the key, on that key's partition.

    Only what is a command can be retried, one that came under another key or on another partition, or that an older
    version did not know; the bytes are never edited. It gets a new command id, derived from the dead letter's place, a
    new deadline (15 s from now; the old one has passed) and a header `retry-of`. When it was received stays as it was:
    if its id was released, and issued again, in the meantime, an old order is refused and touches nothing.

    Of one id, the oldest comes first. A retry is recorded before it is published, so that none is ever published twice:
    when something dies in between, the same command again finds out what became of it.
    """
    if (subject_id is None) == (partition is None) or (partition is None) != (offset is None):
        raise click.UsageError("name PARTITION and OFFSET, or --id")

    async def work() -> None:
        async with retrying(
            settings_of(kafka=kafka, prefix=prefix, postgres=postgres), by, reason, click.echo
        ) as retrier:
            if partition is not None and offset is not None:
                await retrier.one(partition, offset)
            else:
                await retrier.of_id(str(subject_id))

    with _said():
        asyncio.run(work())


@dead_letters.command()
@click.argument("partition", type=PARTITION)
@click.argument("offset", type=OFFSET)
@click.option("--reason", required=True, type=Text(), help="why, for the record")
@_by
@postgres_option
def discard(partition: int, offset: int, reason: str, by: str, postgres: str) -> None:
    """Record that nothing is to be done about a dead letter.

    Its bytes stay: in the table until it is pruned, and in the topic, unless they were too large for it.
    """

    async def work() -> None:
        async with handling(settings_of(postgres=postgres)) as connection:
            await dead_letter.discard(connection, await load_one(connection, partition, offset), by, reason)

    with _said():
        asyncio.run(work())
    click.echo(f"{partition}/{offset} is discarded")


async def _with(settings: ServiceSettings, work: Callable[[Connection], Awaitable[T]]) -> T:
    async with await connect(settings, "allocations-dead-letters") as connection:
        await check_migrations(connection)
        return await work(connection)
