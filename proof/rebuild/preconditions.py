"""Whether a rebuild may begin: nobody else writes, and nobody takes the tables for complete meanwhile.

What says that a database is whole is its row in `log_identity`. A rebuild takes that away first and puts it there
last, so that a processor that starts meanwhile, or after a rebuild was killed, refuses (decision 8).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from processor.postgres.tables import take_tables
from proof.checkpoint.checks import PRUNED, check_heads, check_not_pruned, check_tables
from proof.checkpoint.file import Checkpoint
from proof.log.progress import Progress
from proof.log.snapshot import pruned, watermarks
from proof.log.streams import Bounds
from proof.rebuild.restore import restore
from service.errors import OperatorError
from service.kafka import Consumers, admin, describe_all
from service.log_checks import LogIdentity, check_positions, check_topics, load_identity
from service.migrations import check_migrations
from service.postgres import Connection
from service.settings import ServiceSettings
from service.sql import statements

_SQL: Final = statements("proof.log")


@dataclass(frozen=True)
class TablesState:
    """What the tables are before a rebuild: `whole`, `begun` by an earlier rebuild, or neither, which is empty."""

    whole: bool
    begun: bool


async def keep_others_away(connection: Connection) -> None:
    """For as long as the connection lasts. Raises OperatorError."""
    if not await take_tables(connection):
        raise OperatorError(
            "processors are at work on this database, or another rebuild is: stop them first. Nothing was changed"
        )


async def look(connection: Connection) -> TablesState:
    """Raises OperatorError when the rows are nobody's."""
    row = await (await connection.execute(_SQL["tables_filled"])).fetchone()
    whole, begun, filled = row or (False, False, False)
    if filled and not begun:
        raise OperatorError("the tables have rows and no watermarks: name an empty database, or a restored backup")
    return TablesState(whole, begun)


async def identify(settings: ServiceSettings, connection: Connection) -> LogIdentity:
    """The log that the tables are to be the state of. Raises OperatorError when they are another one's already."""
    await check_migrations(connection, exactly=True)
    topics = settings.topics
    async with admin(settings) as client:
        cluster = await describe_all(client, (topics.commands, topics.events, topics.dead_letters))
    partitions = check_topics(cluster, topics, await load_identity(connection))
    return LogIdentity(cluster.cluster_id, topics.commands, partitions)


async def begin(
    settings: ServiceSettings,
    connection: Connection,
    consumers: Consumers,
    log: Bounds,
    checkpoint: Checkpoint | None,
    file: Path | None,
    progress: Progress,
    *,
    resume: bool,
) -> None:
    """From here on the database is not whole. Raises OperatorError."""
    tables = await look(connection)
    if tables.whole and not resume:
        raise OperatorError(
            "this database is the state of its log already; `allocations verify` compares the two. If it was restored "
            "from a backup, go on from there with --resume; to build everything from nothing, name an empty database"
        )
    if not tables.begun:
        if file:
            await restore(settings, file, consumers, progress)
        else:
            await _begin_with_nothing(connection, log)
        await connection.execute(_SQL["free_accounts"])
        return
    if checkpoint:
        check_tables(checkpoint, await watermarks(connection), await pruned(connection))
        await check_heads(checkpoint, connection)
    else:
        await check_not_pruned(connection)
    await check_positions(settings, connection, consumers, log, may_be_older=True)
    await connection.execute(_SQL["forget_identity"])
    await connection.execute(_SQL["free_accounts"])


async def _begin_with_nothing(connection: Connection, log: Bounds) -> None:
    """What a log no longer has may have made something: without a checkpoint it must begin at 0."""
    if any(start for start, _ in log.values()):
        raise OperatorError(PRUNED)
    await connection.execute(_SQL["begin_rebuild"], {"partitions": list(log)})


async def end(connection: Connection, identity: LogIdentity) -> None:
    """Now it is whole. Raises OperatorError when two connections are active on one account of the platform."""
    try:
        await connection.execute(_SQL["bind_accounts"])
    except psycopg.errors.UniqueViolation as error:
        raise OperatorError(
            f"two connections are active on one account of the platform ({error.diag.message_detail}): what was never "
            "published can not be put back as it was. Run this on an empty database, when all is published"
        ) from error
    await connection.execute(
        _SQL["end_rebuild"],
        {
            "cluster_id": identity.cluster_id,
            "commands_topic": identity.commands_topic,
            "partitions": identity.partitions,
        },
    )
