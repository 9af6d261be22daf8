"""`allocations prune`: what is before a checkpoint and needed no more is deleted, while all is at work (record 0012).

Partition by partition, first the tables: ledger, dead letters that were handled, journal; a few offsets in each
transaction, so that nobody waits for it. Then, if wanted, the log's records. The checkpoint's last row of each
partition stays, and its record, because every start compares the two; an open dead letter stays, with its row.
Whatever interrupts it, it can be run again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from processor.postgres.tables import share_tables
from proof.checkpoint.checks import check_heads, check_log, check_tables, read_whole
from proof.checkpoint.file import Checkpoint, Mark
from proof.log.log_identity import known_log
from proof.log.progress import Progress
from proof.log.snapshot import pruned, watermarks
from proof.log.streams import bounds
from service.errors import OperatorError
from service.kafka import admin, consuming
from service.log_checks import check_positions
from service.postgres import KEYED, Connection, connect
from service.settings import ServiceSettings
from service.sql import statements

PART_OFFSETS: Final = 2000

_SQL: Final = statements("proof.log")


@dataclass(frozen=True)
class Pruned:
    """Of one partition: how many journal rows were deleted; where its log starts, and may start."""

    partition: int
    rows: int
    log_start: int
    needed_from: int


async def prune(settings: ServiceSettings, file: Path, progress: Progress, *, log: bool) -> list[Pruned]:
    """Delete rows and, with `log`, records. Raises OperatorError before anything is deleted."""
    identity = await known_log(settings, "allocations-prune")
    checkpoint = read_whole(file, identity, progress)
    lasts = {partition: mark.last or 0 for partition, mark in checkpoint.marks.items()}
    async with await connect(settings, "allocations-prune", KEYED) as connection:
        await share_tables(connection)
        log_starts = await _check(settings, connection, checkpoint)
        firsts = {partition: await _first(connection, partition, 0, last) for partition, last in lasts.items()}
        progress.phase("offsets", sum(last - firsts[partition] for partition, last in lasts.items()))
        rows = {
            partition: await _prune_partition(connection, mark, partition, firsts[partition], progress)
            for partition, mark in checkpoint.marks.items()
        }
    if log:
        await _delete_records(settings, {each: last for each, last in lasts.items() if log_starts[each] < last})
        log_starts = {partition: max(start, lasts[partition]) for partition, start in log_starts.items()}
    return [Pruned(partition, rows[partition], log_starts[partition], last) for partition, last in lasts.items()]


async def _check(settings: ServiceSettings, connection: Connection, checkpoint: Checkpoint) -> dict[int, int]:
    """Everything that must fit before anything is deleted; returns the log's starts."""
    topics, partitions = settings.topics, range(checkpoint.partitions)
    async with consuming(settings) as consumers:
        log = await bounds(consumers.commands, topics.commands, partitions)
        events = await bounds(consumers.published, topics.events, partitions)
        letters = await bounds(consumers.published, topics.dead_letters, partitions)
        check_log(checkpoint, topics, log, events, letters)
        await check_positions(settings, connection, consumers, partitions, may_be_older=True)
    check_tables(checkpoint, await watermarks(connection), await pruned(connection))
    await check_heads(checkpoint, connection)
    await _check_retries(connection, checkpoint)
    return {partition: start for partition, (start, _) in log.items()}


async def _check_retries(connection: Connection, checkpoint: Checkpoint) -> None:
    """Whether a retry that was begun is in the log is looked up in the journal."""
    next_offsets = [mark.next_offset for mark in checkpoint.marks.values()]
    asked = {"partitions": list(checkpoint.marks), "next_offsets": next_offsets}
    if row := await (await connection.execute(_SQL["begun_below"], asked)).fetchone():
        raise OperatorError(
            f"a retry of the dead letter at partition {row[0]}, offset {row[1]} was begun, and what became of it is in "
            f"rows that would be deleted: `allocations dead-letters retry {row[0]} {row[1]}` finds out. Do that first"
        )


async def _first(connection: Connection, partition: int, first: int, beyond: int) -> int:
    """The offset of the first journal row between two; the second, if there is none."""
    asked = {"partition": partition, "first": first, "beyond": beyond}
    row = await (await connection.execute(_SQL["first_to_prune"], asked)).fetchone()
    return int(row[0]) if row else beyond


async def _prune_partition(connection: Connection, mark: Mark, partition: int, first: int, progress: Progress) -> int:
    """Returns the number of deleted journal rows. The tables say first that rows are missing."""
    await connection.execute(_SQL["mark_pruned"], {"partition": partition, "next_offset": mark.next_offset})
    last, count = mark.last or 0, 0
    while first < last:
        beyond = min(first + PART_OFFSETS, last)
        count += await _prune_part(connection, {"partition": partition, "first": first, "beyond": beyond})
        following = await _first(connection, partition, beyond, last)
        progress.advance(following - first)
        first = following
    return count


async def _prune_part(connection: Connection, where: dict[str, int]) -> int:
    """One transaction; what refers to journal rows goes before them."""
    async with connection.pipeline():
        await connection.execute(b"BEGIN")
        await connection.execute(_SQL["prune_ledger"], where)
        await connection.execute(_SQL["prune_dead_letters"], where)
        journal = await connection.execute(_SQL["prune_journal"], where)
        await connection.execute(b"COMMIT")
    return journal.rowcount


async def _delete_records(settings: ServiceSettings, before: Mapping[int, int]) -> None:
    topic = settings.topics.commands
    async with admin(settings) as client:
        await client.delete_records(
            {TopicPartition(topic, partition): RecordsToDelete(offset) for partition, offset in before.items()}
        )
