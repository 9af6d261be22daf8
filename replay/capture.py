"""Reading a topic, or a part of it, in the order of its timestamps, up to its end as of the start.

Partitions are merged by the timestamps of their next records, so that a file can be replayed at the pace at which it
was written; within a partition the order is the log's.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from replay.capture_file import Source
from replay.captured import Captured
from schemas.topics import Topics
from schemas.undecodable import content_of
from service.errors import OperatorError, UnavailableError
from service.kafka import admin, describe
from service.settings import ServiceSettings

FETCH_RECORDS: Final = 500
"""At once, and so what one partition holds at most while it waits for the others' timestamps."""
FETCH_MS: Final = 200
SILENCE_SECONDS: Final = 30.0

Holds = Literal["commands", "events", "dead-letters"]


@dataclass(frozen=True)
class Wanted:
    """Which part of a topic. Offsets count in each of the partitions; `until` and `until_offset` are excluded."""

    holds: Holds = "commands"
    partitions: frozenset[int] | None = None
    since: datetime | None = None
    until: datetime | None = None
    from_offset: int | None = None
    until_offset: int | None = None


def topic_of(topics: Topics, holds: Holds) -> str:
    return {"commands": topics.commands, "events": topics.events, "dead-letters": topics.dead_letters}[holds]


async def find_source(settings: ServiceSettings, consumer: AIOKafkaConsumer, wanted: Wanted) -> Source:
    """What is there of the wanted part now. Raises OperatorError when the topic or a partition does not exist."""
    topic = topic_of(settings.topics, wanted.holds)
    async with admin(settings) as client:
        cluster = await describe(client, [topic])
    if topic not in cluster.topics:
        raise OperatorError(f"topic {topic} does not exist on this cluster: look at --kafka and --prefix")
    count = cluster.topics[topic].partitions
    partitions = range(count) if wanted.partitions is None else sorted(wanted.partitions)
    if beyond := [each for each in partitions if each >= count]:
        raise OperatorError(f"topic {topic} has partitions 0 to {count - 1}, and no {beyond[0]}")
    return Source(
        cluster_id=cluster.cluster_id,
        topic=topic,
        holds=wanted.holds,
        partitions=count,
        captured_at=datetime.now(UTC),
        ranges=await _ranges(consumer, topic, partitions, wanted),
    )


async def _ranges(
    consumer: AIOKafkaConsumer, topic: str, partitions: Collection[int], wanted: Wanted
) -> dict[int, tuple[int, int]]:
    where = [TopicPartition(topic, partition) for partition in partitions]
    starts, ends = await consumer.beginning_offsets(where), await consumer.end_offsets(where)
    sinces = await _offsets_at(consumer, where, wanted.since, starts, ends)
    untils = await _offsets_at(consumer, where, wanted.until, ends, ends)
    ranges = {}
    for each in where:
        first = max(starts[each], sinces[each], wanted.from_offset or 0)
        last = min(ends[each], untils[each], ends[each] if wanted.until_offset is None else wanted.until_offset)
        ranges[each.partition] = (first, max(first, last))
    return ranges


async def _offsets_at(
    consumer: AIOKafkaConsumer,
    where: Collection[TopicPartition],
    instant: datetime | None,
    without: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
) -> dict[TopicPartition, int]:
    """The offsets of the first records at or after an instant; `ends` where there are none, `without` without one."""
    if instant is None:
        return dict(without)
    found = await consumer.offsets_for_times(dict.fromkeys(where, round(instant.timestamp() * 1000)))
    return {each: ends[each] if found[each] is None else found[each].offset for each in where}


@dataclass
class _Partition:
    """One partition on its way through the merge."""

    where: TopicPartition
    end: int
    held: deque[ConsumerRecord[bytes, bytes]] = field(default_factory=deque)
    is_read: bool = False


async def records(consumer: AIOKafkaConsumer, source: Source) -> AsyncIterator[Captured]:
    """The records of a source's ranges. Raises UnavailableError when Kafka says nothing for half a minute."""
    unfinished = [
        _Partition(TopicPartition(source.topic, partition), end)
        for partition, (start, end) in source.ranges.items()
        if end > start
    ]
    if not unfinished:
        return
    consumer.assign([each.where for each in unfinished])
    for each in unfinished:
        consumer.seek(each.where, source.ranges[each.where.partition][0])
    while unfinished:
        if any(not each.held and not each.is_read for each in unfinished):
            await _fetch(consumer, unfinished)
        unfinished = [each for each in unfinished if each.held or not each.is_read]
        while unfinished and all(each.held for each in unfinished):
            first = min(unfinished, key=lambda each: each.held[0].timestamp)
            yield _captured(first.held.popleft())
            if not first.held:
                break


async def _fetch(consumer: AIOKafkaConsumer, partitions: Collection[_Partition]) -> None:
    """Read on, where nothing is held, until something came."""
    lacking = {each.where: each for each in partitions if not each.is_read and not each.held}
    try:
        async with asyncio.timeout(SILENCE_SECONDS):
            while not any([await _fetch_once(consumer, lacking), await _note_ends(consumer, lacking)]):
                pass
    except TimeoutError:
        raise UnavailableError(f"Kafka sent no record for {SILENCE_SECONDS:.0f} s") from None


async def _fetch_once(consumer: AIOKafkaConsumer, partitions: Mapping[TopicPartition, _Partition]) -> bool:
    found = await consumer.getmany(*partitions, timeout_ms=FETCH_MS, max_records=FETCH_RECORDS)
    for where, fetched in found.items():
        each = partitions[where]
        each.held.extend(record for record in fetched if record.offset < each.end)
    return bool(found)


async def _note_ends(consumer: AIOKafkaConsumer, partitions: Mapping[TopicPartition, _Partition]) -> bool:
    """Transaction markers and aborted records take offsets: only the position says that a partition is read."""
    for where, each in partitions.items():
        each.is_read = await consumer.position(where) >= each.end
    return any(each.is_read for each in partitions.values())


def _captured(record: ConsumerRecord[bytes, bytes]) -> Captured:
    """As it is, every byte. What can not be decoded is the batch at its first offset, and nothing at the others."""
    return Captured(
        record.partition,
        record.offset,
        record.timestamp,
        record.timestamp_type,
        record.key,
        content_of(record.value),
        tuple(record.headers),
    )
