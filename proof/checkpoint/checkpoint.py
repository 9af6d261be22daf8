"""`allocations checkpoint`: all that follows from the log so far, in a file; verifying and rebuilding can start there.

1. note where the topics of what is published end   2. one snapshot of the tables   3. wait until everything that it has
to publish is published, and find where the rest begins   4. write it down

Whoever prunes deletes what is before a checkpoint, and must not delete what nobody has published yet.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaConsumer

from processor.relay.outbox import Outbox, dead_letters_of, events_of
from proof.checkpoint.file import SUBJECT_BLOCKS, BlockKind, Checkpoint, CheckpointWriter, Mark, writing
from proof.checkpoint.kept import iso, kept_row
from proof.log.log_identity import known_log
from proof.log.progress import Progress
from proof.log.snapshot import Snapshot, snapshot
from proof.log.streams import Bounds, bounds, open_stream
from schemas.records import Position, position_of
from service.errors import OperatorError
from service.kafka import consuming, last_sources
from service.log_checks import LogIdentity, check_positions
from service.postgres import connect
from service.settings import ServiceSettings

PUBLISHED_SECONDS: Final = 2.0
LOOK_SECONDS: Final = 0.2
STEPS: Final = 1000


@dataclass(frozen=True)
class Taken:
    """What was written, with how many journal rows that stay."""

    checkpoint: Checkpoint
    kept: int


async def take_checkpoint(settings: ServiceSettings, file: Path, progress: Progress) -> Taken:
    """Write a file that has its name when it is whole.

    Raises OperatorError when log and tables do not belong together, or something is not published; and what
    `is_passing` knows when Kafka or Postgres is away.
    """
    identity = await known_log(settings, "allocations-checkpoint")
    partitions = range(identity.partitions)
    async with AsyncExitStack() as stack:
        consumers = await stack.enter_async_context(consuming(settings))
        consumer = consumers.published
        async with await connect(settings, "allocations-checkpoint") as connection:
            await check_positions(settings, connection, consumers, partitions)
        boxes = [events_of(settings.topics), dead_letters_of(settings.topics)]
        before = [await bounds(consumer, box.topic, partitions) for box in boxes]
        tables = await stack.enter_async_context(snapshot(settings, "allocations-checkpoint"))
        checkpoint = await _describe(identity, consumer, boxes, before, tables)
        with writing(file, checkpoint) as writer:
            kept = await _write(tables, checkpoint, writer, progress)
    return Taken(checkpoint, kept)


async def _describe(
    identity: LogIdentity, consumer: AIOKafkaConsumer, boxes: list[Outbox], before: list[Bounds], tables: Snapshot
) -> Checkpoint:
    last = await tables.last_to_publish()
    beyond = []
    for number, box in enumerate(boxes):
        await _published(consumer, identity, box, {partition: offsets[number] for partition, offsets in last.items()})
        beyond.append(await _beyond(consumer, box, before[number], tables))
    marks = {
        partition: Mark(
            next_offset=at.next_offset,
            hash=at.hash.hex(),
            events=beyond[0][partition],
            dead_letters=beyond[1][partition],
        )
        for partition, at in sorted(tables.watermarks.items())
    }
    return Checkpoint(
        cluster_id=identity.cluster_id,
        commands_topic=identity.commands_topic,
        partitions=identity.partitions,
        taken_at=datetime.now(UTC),
        states=await tables.count_states(),
        marks=marks,
    )


async def _published(
    consumer: AIOKafkaConsumer, identity: LogIdentity, box: Outbox, last: Mapping[int, int | None]
) -> None:
    """Wait a moment for the relay. Raises OperatorError when it does not come that far."""
    wanted = [
        Position(identity.commands_topic, partition, offset) for partition, offset in last.items() if offset is not None
    ]
    deadline = asyncio.get_running_loop().time() + PUBLISHED_SECONDS
    while missing := await _missing(consumer, box, wanted):
        if asyncio.get_running_loop().time() > deadline:
            raise OperatorError(
                f"what follows from {missing[0]} is not in {box.topic} yet, and who prunes would delete it: let a "
                "processor run until it is published (/readyz says what holds its relay), then try again"
            )
        await asyncio.sleep(LOOK_SECONDS)


async def _missing(consumer: AIOKafkaConsumer, box: Outbox, wanted: list[Position]) -> list[Position]:
    """Those that are not published, nor any later one of their partition."""
    if not wanted:
        return []
    found = await last_sources(consumer, box.topic, box.position_header, [each.partition for each in wanted])
    return [each for each in wanted if not _is_published(found.get(each.partition), each)]


def _is_published(last: Position | None, wanted: Position) -> bool:
    return last is not None and (last.topic, last.partition) == (wanted.topic, wanted.partition) and last >= wanted


async def _beyond(consumer: AIOKafkaConsumer, box: Outbox, before: Bounds, tables: Snapshot) -> dict[int, int]:
    """By partition, the offset in what is published behind all that is of commands in the tables."""
    now = await bounds(consumer, box.topic, before)
    found = {}
    for partition, (_, end) in before.items():
        found[partition] = end
        stream = open_stream(consumer, box.topic, partition, end, now[partition][1])
        while (record := await stream.head()) is not None:
            source = position_of(record.headers, box.position_header)
            if source is not None and source.offset >= tables.watermarks[partition].next_offset:
                break
            found[partition] = stream.take().offset + 1
    return found


async def _write(tables: Snapshot, checkpoint: Checkpoint, writer: CheckpointWriter, progress: Progress) -> int:
    """Returns the number of journal rows that are kept."""
    progress.phase("checkpoint", checkpoint.states)
    count = 0
    async for part, row in _states(tables):
        writer.add(part, row)
        count += 1
        if count % STEPS == 0:
            progress.advance(STEPS)
    lasts = {(partition, mark.last) for partition, mark in checkpoint.marks.items() if mark.last is not None}
    kept = sorted(lasts | {place async for place in tables.open_dead_letters()})
    for partition, offset in kept:
        writer.add(BlockKind.KEPT, await _kept(tables, partition, offset))
    return len(kept)


async def _states(tables: Snapshot) -> AsyncIterator[tuple[BlockKind, list[Any]]]:
    for part, table in SUBJECT_BLOCKS.items():
        async for _, row in tables.subjects(table.name):
            yield part, [iso(each) if isinstance(each, datetime) else each for each in row]
    async for _, row in tables.accounts():
        yield BlockKind.ACCOUNTS, list(row)
    async for _, row in tables.platform_accounts():
        yield BlockKind.PLATFORM_ACCOUNTS, list(row)
    async for _, row in tables.usages():
        yield BlockKind.USAGES, list(row)


async def _kept(tables: Snapshot, partition: int, offset: int) -> dict[str, Any]:
    kept = kept_row(await tables.rows(partition, offset, offset + 1), offset)
    if kept is None:
        raise OperatorError(
            f"the journal lacks the row at partition {partition}, offset {offset}: `allocations verify` says what else "
            "is wrong. Put that right first"
        )
    return kept
