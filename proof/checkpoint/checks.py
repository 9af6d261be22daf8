"""The starting point of verify and rebuild: the start of the log, or a checkpoint that matches log and tables.

Every check that fails raises OperatorError with a sentence that says what to do.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeAlias

from processor.domain.journal import FIRST_HASH
from processor.domain.rows import Watermark
from proof.checkpoint.file import Checkpoint, Mark, check_whole
from proof.log.progress import Progress
from proof.log.snapshot import pruned
from proof.log.streams import Bounds
from schemas.records import Position
from schemas.topics import Topics
from service.errors import OperatorError
from service.log_checks import LogIdentity
from service.postgres import Connection
from service.sql import statements

Starts: TypeAlias = Mapping[int, Mark]
"""By partition."""

PRUNED: Final = (
    "the beginning of the log or of the tables was pruned: name the checkpoint under which that was done, or a later "
    "one, with --checkpoint"
)

_SQL: Final = statements("proof.log")


def beginning(commands: Bounds, events: Bounds, dead_letters: Bounds) -> Starts:
    """Nothing is known before the first records."""
    return {
        partition: Mark(
            next_offset=start,
            hash=FIRST_HASH.hex(),
            events=events[partition][0],
            dead_letters=dead_letters[partition][0],
        )
        for partition, (start, _) in commands.items()
    }


def read_whole(file: Path, identity: LogIdentity, progress: Progress) -> Checkpoint:
    """A checkpoint of this log, read to its end."""
    checkpoint = check_whole(file, progress)
    of = LogIdentity(checkpoint.cluster_id, checkpoint.commands_topic, checkpoint.partitions)
    if of != identity:
        raise OperatorError(
            f"{file} is a checkpoint of {_log(of)}, and this is {_log(identity)}: name one of this log, or point the "
            "settings at that one"
        )
    return checkpoint


def check_log(checkpoint: Checkpoint, topics: Topics, commands: Bounds, events: Bounds, dead_letters: Bounds) -> None:
    """The topics have what is needed from the checkpoint on, and are not younger than it."""
    for partition, mark in checkpoint.marks.items():
        start, _ = commands[partition]
        if start > mark.next_offset:
            raise OperatorError(
                f"{topics.commands}/{partition} starts at offset {start}, and the checkpoint needs it from "
                f"{mark.next_offset}: name the later checkpoint under which it was pruned, or restore the topic"
            )
        for topic, bounds, needed in (
            (topics.commands, commands, mark.next_offset),
            (topics.events, events, mark.events),
            (topics.dead_letters, dead_letters, mark.dead_letters),
        ):
            if bounds[partition][1] < needed:
                raise OperatorError(
                    f"{topic}/{partition} ends at offset {bounds[partition][1]}, and had {needed} when the checkpoint "
                    "was taken: it was shortened or created again. Restore the topic"
                )


def check_tables(checkpoint: Checkpoint, watermarks: Mapping[int, Watermark], gone: Mapping[int, int]) -> None:
    """The tables are at the checkpoint or beyond, and have all rows from there on."""
    topic = checkpoint.commands_topic
    for partition, mark in checkpoint.marks.items():
        if partition in watermarks and watermarks[partition].next_offset < mark.next_offset:
            raise OperatorError(
                f"the checkpoint, at {topic}/{partition}/{mark.next_offset}, is ahead of the tables, which are at "
                f"{watermarks[partition].next_offset}: name an older one, or rebuild an empty database from this one"
            )
        if gone.get(partition, 0) > mark.next_offset:
            raise OperatorError(
                f"the tables were pruned before {topic}/{partition}/{gone[partition]}, and the checkpoint is at "
                f"{mark.next_offset}: name the later one under which they were pruned, or one after that"
            )


async def check_heads(checkpoint: Checkpoint, connection: Connection) -> None:
    """The journal's row before each position is there, with the hash that the checkpoint has."""
    lasts = {partition: mark.last for partition, mark in checkpoint.marks.items() if mark.last is not None}
    asked = {"partitions": list(lasts), "offsets": list(lasts.values())}
    found: dict[int, bytes] = dict(await (await connection.execute(_SQL["journal_hashes"], asked)).fetchall())
    for partition, offset in lasts.items():
        if found.get(partition) != checkpoint.marks[partition].head:
            what = "another hash" if partition in found else "no row"
            raise OperatorError(
                f"the journal has {what} at {Position(checkpoint.commands_topic, partition, offset)}, the last row of "
                "the checkpoint: they are not of one history, or the journal was changed"
            )


async def check_not_pruned(connection: Connection) -> None:
    """For whoever was given no checkpoint."""
    if await pruned(connection):
        raise OperatorError(PRUNED)


def _log(of: LogIdentity) -> str:
    return f"{of.commands_topic} with {of.partitions} partitions in cluster {of.cluster_id}"
