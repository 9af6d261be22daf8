"""Reads from a cluster: identity, topic settings, offsets, single records."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, Literal

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import NoError, TopicAuthorizationFailedError, for_code

import service.aiokafka_decoder  # noqa: F401 - every consumer of a process that imports this reads what it describes
from schemas.records import Position, journal_hash_of, position_of
from service.errors import UnavailableError
from service.settings import ServiceSettings

READ_TIMEOUT_SECONDS: Final = 10
POLL_MS: Final = 20
FIRST_STEP_BACK: Final = 8
APPEAR_SECONDS: Final = 5.0
APPEAR_LOOKS: Final = 25
CLOSE_SECONDS: Final = 5.0
CANCEL_SECONDS: Final = 1.0


@dataclass(frozen=True)
class TopicFacts:
    """A topic's actual settings. `replication` is the smallest number of replicas of any partition."""

    partitions: int
    replication: int
    settings: Mapping[str, str]


@dataclass(frozen=True)
class ClusterFacts:
    cluster_id: str
    topics: Mapping[str, TopicFacts]


@asynccontextmanager
async def admin(settings: ServiceSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(**settings.kafka_options(), request_timeout_ms=10_000)
    try:
        await client.start()
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def reader(
    settings: ServiceSettings, isolation_level: Literal["read_committed", "read_uncommitted"] = "read_committed"
) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer without a group: commits nothing and reads committed records only.

    For events and dead letters; `commands_reader` is for the commands topic.
    """
    consumer = AIOKafkaConsumer(
        **settings.kafka_options(),
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level=isolation_level,
        request_timeout_ms=10_000,
        fetch_max_wait_ms=POLL_MS,
        retry_backoff_ms=POLL_MS,
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


def commands_reader(settings: ServiceSettings) -> AbstractAsyncContextManager[AIOKafkaConsumer]:
    """A consumer for the commands topic, which sees every record and each partition to its end.

    Transactions have no meaning there: whoever writes in one is foreign, and its end is not awaited (decision 7).
    """
    return reader(settings, "read_uncommitted")


@dataclass(frozen=True)
class Consumers:
    """`commands` reads uncommitted, `published` committed: of events only what is certain counts."""

    commands: AIOKafkaConsumer
    published: AIOKafkaConsumer


@asynccontextmanager
async def consuming(settings: ServiceSettings) -> AsyncIterator[Consumers]:
    async with commands_reader(settings) as commands, reader(settings) as published:
        yield Consumers(commands, published)


async def describe(client: AIOKafkaAdminClient, names: Iterable[str]) -> ClusterFacts:
    """The cluster's id, and those of the named topics that exist."""
    cluster = await client.describe_cluster()
    found = [topic for topic in await client.describe_topics() if topic["topic"] in set(names) and topic["partitions"]]
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic["topic"]) for topic in found]
    settings = _settings_by_topic(await client.describe_configs(resources)) if resources else {}
    return ClusterFacts(
        cluster_id=str(cluster["cluster_id"]),
        topics={
            topic["topic"]: TopicFacts(
                partitions=len(topic["partitions"]),
                replication=min(len(partition["replicas"]) for partition in topic["partitions"]),
                settings=settings[topic["topic"]],
            )
            for topic in found
        },
    )


async def describe_all(client: AIOKafkaAdminClient, names: Collection[str]) -> ClusterFacts:
    """`describe`, retried while topics are missing: a broker may learn of a new one a moment later."""
    facts = await describe(client, names)
    for _ in range(APPEAR_LOOKS):
        if facts.topics.keys() >= set(names):
            break
        await asyncio.sleep(APPEAR_SECONDS / APPEAR_LOOKS)
        facts = await describe(client, names)
    return facts


def _settings_by_topic(responses: Iterable[Any]) -> dict[str, dict[str, str]]:
    found = {}
    for response in responses:
        for code, message, _type, name, entries in response.resources:
            _check_described(code, message, name)
            found[name] = {entry[0]: entry[1] for entry in entries}
    return found


def _check_described(code: int, message: str | None, topic: str) -> None:
    """Raises UnavailableError for a missing right, which may be given at any time; KafkaError for anything else."""
    error = for_code(code)
    if error is TopicAuthorizationFailedError:
        raise UnavailableError(
            f"the Kafka user may not read the settings of topic {topic}: it needs the right DescribeConfigs on it"
        )
    if error is not NoError:
        raise error(message or f"the settings of topic {topic} can not be read")


async def read_at(
    consumer: AIOKafkaConsumer, topic: str, offsets: Mapping[int, int]
) -> dict[int, ConsumerRecord[bytes, bytes]]:
    """The records at some partitions' given offsets, which the log has. Raises KafkaError when they can not be read."""
    if not offsets:  # aiokafka's consumer, stopped right after it was assigned something else, never ends
        return {}
    where = {TopicPartition(topic, partition): offset for partition, offset in offsets.items()}
    found: dict[int, ConsumerRecord[bytes, bytes]] = {}
    go_to(consumer, where)
    async with asyncio.timeout(READ_TIMEOUT_SECONDS):
        while len(found) < len(where):
            for each, records in (await consumer.getmany(timeout_ms=POLL_MS)).items():
                found.setdefault(each.partition, records[0])
    return found


@dataclass(frozen=True)
class Published:
    """What a published record was made from: the command's position and, of an event, the hash of its journal row."""

    source: Position
    journal_hash: bytes | None


async def last_published(
    consumer: AIOKafkaConsumer, topic: str, header: str, partitions: Iterable[int]
) -> dict[int, Published]:
    """The last record of ours in each partition, as far as the consumer's isolation level shows it.

    Transaction markers, aborted records and records of foreign clients are passed over: the search goes back in
    growing steps.
    """
    where = [TopicPartition(topic, partition) for partition in partitions]
    starts, ends = await consumer.beginning_offsets(where), await consumer.end_offsets(where)
    missing = {each for each in where if ends[each] > starts[each]}
    found: dict[int, Published] = {}
    step = FIRST_STEP_BACK
    while missing:
        ranges = {each: (max(starts[each], ends[each] - step), ends[each]) for each in missing}
        found |= await _last_in(consumer, header, ranges)
        missing = {each for each in missing if each.partition not in found and ranges[each][0] > starts[each]}
        step *= 8
    return found


async def last_sources(
    consumer: AIOKafkaConsumer, topic: str, header: str, partitions: Iterable[int]
) -> dict[int, Position]:
    """What the last record of ours in each partition was made from."""
    found = await last_published(consumer, topic, header, partitions)
    return {partition: each.source for partition, each in found.items()}


async def _last_in(
    consumer: AIOKafkaConsumer, header: str, ranges: Mapping[TopicPartition, tuple[int, int]]
) -> dict[int, Published]:
    """The last record in each range of offsets."""
    found: dict[int, Published] = {}
    go_to(consumer, {each: start for each, (start, _) in ranges.items()})
    unread = set(ranges)
    async with asyncio.timeout(READ_TIMEOUT_SECONDS):
        while unread:
            for each, records in (await consumer.getmany(timeout_ms=POLL_MS)).items():
                for record in records:
                    if source := position_of(record.headers, header):
                        found[each.partition] = Published(source, journal_hash_of(record.headers))
            unread = {each for each in unread if await consumer.position(each) < ranges[each][1]}
    return found


async def close_producer(producer: AIOKafkaProducer) -> None:
    """Flush and close; what is not acknowledged within five seconds is given up: aiokafka would try for ever."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await producer.stop()
    except TimeoutError:
        with suppress(TimeoutError):
            async with asyncio.timeout(CANCEL_SECONDS):  # which cancels its sender a second time
                await producer._sender.close()  # noqa: SLF001 - or it would go on in the background
        await producer.client.close()


def go_to(consumer: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int]) -> None:
    """Let the consumer read these partitions, from these offsets on."""
    consumer.assign(list(offsets))
    for each, offset in offsets.items():
        consumer.seek(each, offset)
