"""The checks before anything is published or decided (decision 8).

Each check that fails raises OperatorError with a sentence that says what to do. The order of the reads matters while
others write: events before watermarks before log ends, so that progress between two reads is never taken for a loss.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, LiteralString

import psycopg
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.records import Position
from schemas.topics import Topics, required_settings
from schemas.undecodable import content_of
from service.errors import OperatorError
from service.kafka import ClusterFacts, Consumers, Published, last_published, last_sources, read_at
from service.logs import logger
from service.settings import ServiceSettings

Connection = psycopg.AsyncConnection[tuple[Any, ...]]

ENOUGH_REPLICAS: Final = 3
ENOUGH_IN_SYNC: Final = 2

REBUILD: Final = (
    "Nothing may be decided on it, because a second decision could differ from what was answered. "
    "Point the settings at the database that belongs to this log; if that is lost, restore its newest backup and run "
    "`allocations rebuild --resume`, or run `allocations rebuild` on an empty database"
)

_IDENTITY: Final[LiteralString] = "SELECT cluster_id, commands_topic, partitions FROM log_identity"
_WATERMARKS: Final[LiteralString] = "SELECT partition, next_offset FROM watermark WHERE partition = ANY(%s)"
_HASHES: Final[LiteralString] = """
    SELECT partition, j."offset", j.hash
    FROM unnest(%s::int[], %s::bigint[]) AS asked (partition, "offset")
    JOIN journal j USING (partition, "offset")
"""
_COMMAND_IDS: Final[LiteralString] = """
    SELECT j.partition, j.command_id::text, d.value
    FROM unnest(%s::int[], %s::bigint[]) AS asked (partition, "offset")
    JOIN journal j USING (partition, "offset")
    LEFT JOIN dead_letter d USING (partition, "offset")
"""


@dataclass(frozen=True)
class LogIdentity:
    """The log that the database is the state of. The number of partitions is stored at first start (decision 7)."""

    cluster_id: str
    commands_topic: str
    partitions: int


async def load_identity(connection: Connection) -> LogIdentity | None:
    row = await (await connection.execute(_IDENTITY)).fetchone()
    return LogIdentity(*row) if row else None


def check_topics(cluster: ClusterFacts, topics: Topics, identity: LogIdentity | None) -> int:
    """Check cluster id and topic settings; returns the number of partitions."""
    for name in (topics.commands, topics.events, topics.dead_letters):
        if name not in cluster.topics:
            raise OperatorError(
                f"topic {name} does not exist, or the Kafka user has not the right Describe on it: run "
                "`allocations topics` against this cluster"
            )
    partitions = cluster.topics[topics.commands].partitions
    if identity is not None:
        check_identity(cluster, topics, identity)
    for name in (topics.events, topics.dead_letters):
        if cluster.topics[name].partitions != partitions:
            raise OperatorError(
                f"topic {name} has {cluster.topics[name].partitions} partitions and {topics.commands} {partitions}. "
                "An event stands on its command's partition, so the numbers must be the same: create the topic again"
            )
    _check_settings(cluster, topics)
    return partitions


def check_identity(cluster: ClusterFacts, topics: Topics, identity: LogIdentity) -> None:
    """Raises OperatorError when the database is the state of another log."""
    if cluster.cluster_id != identity.cluster_id:
        raise OperatorError(
            f"this is Kafka cluster {cluster.cluster_id}, and the database is the state of {identity.cluster_id}: "
            "point the settings at that cluster, or at the database that belongs to this one"
        )
    if topics.commands != identity.commands_topic:
        raise OperatorError(
            f"the commands topic is set to {topics.commands}, and the database is the state of "
            f"{identity.commands_topic}: set the topic prefix back"
        )
    found = cluster.topics[topics.commands].partitions
    if found != identity.partitions:
        raise OperatorError(
            f"topic {topics.commands} has {found} partitions and was started with {identity.partitions}. "
            "A key's partition is for ever, so partitions can not be added or removed: "
            "restore the topic as it was, or start a new system beside this one"
        )


def _check_settings(cluster: ClusterFacts, topics: Topics) -> None:
    for name, required in required_settings(topics).items():
        topic = cluster.topics[name]
        needed = int(topic.settings.get("min.insync.replicas", 1))
        if needed > topic.replication:
            raise OperatorError(
                f"topic {name} has min.insync.replicas={needed} and partitions with {topic.replication} replicas: "
                "nothing can be published to it. Give it more replicas (`kafka-reassign-partitions.sh`), or lower the "
                "setting"
            )
        for setting, value in required.items():
            if topic.settings.get(setting) != value:
                raise OperatorError(
                    f"topic {name} has {setting}={topic.settings.get(setting)}, and {value} is needed, because "
                    f"the tables are derived from it: "
                    f"`kafka-configs.sh --alter --topic {name} --add-config {setting}={value}`"
                )


def warn_of_weak_topics(cluster: ClusterFacts) -> None:
    """Warn of settings that work but would not survive the loss of a broker."""
    for name, topic in cluster.topics.items():
        replicas, in_sync = topic.replication, int(topic.settings.get("min.insync.replicas", 1))
        if replicas < ENOUGH_REPLICAS or in_sync < ENOUGH_IN_SYNC:
            logger("checks").warning(
                "weak_topic",
                topic=name,
                replication=replicas,
                min_insync_replicas=in_sync,
                remedy="a lost broker can take acknowledged commands with it: replication 3, min.insync.replicas 2",
            )


async def claim_identity(
    connection: Connection, consumers: Consumers, cluster: ClusterFacts, topics: Topics, partitions: int
) -> LogIdentity:
    """Record that an empty database is the state of an empty log; a second caller finds it done."""
    starts = await check_unclaimed(consumers, topics, partitions)
    async with connection.transaction():
        await connection.execute(
            "INSERT INTO log_identity (cluster_id, commands_topic, partitions) VALUES (%s, %s, %s) "
            "ON CONFLICT DO NOTHING",
            (cluster.cluster_id, topics.commands, partitions),
        )
        await connection.execute(
            "INSERT INTO watermark (partition, next_offset, hash) "
            "SELECT partition, start, decode(repeat('00', 32), 'hex') "
            "FROM unnest(%s::int[], %s::bigint[]) AS log (partition, start) "
            "ON CONFLICT DO NOTHING",
            (list(starts), list(starts.values())),
        )
    identity = await load_identity(connection)
    if identity is None:
        raise OperatorError("the log's identity was not stored: look at the database's own log")
    return identity


async def check_unclaimed(consumers: Consumers, topics: Topics, partitions: int) -> dict[int, int]:
    """Check that a log without a database is empty; returns where each partition of commands starts.

    Of the events topic only what was committed counts: the relay of whoever came first may have begun (record 0014).
    """
    for source in (await last_sources(consumers.published, topics.events, "ce_id", range(partitions))).values():
        raise OperatorError(
            f"the database is empty, and topic {topics.events} is not: it has the event of {source}. {REBUILD}"
        )
    return await _check_empty(consumers.commands, topics.commands, partitions)


async def _check_empty(consumer: AIOKafkaConsumer, topic: str, partitions: int) -> dict[int, int]:
    """Where each partition of a topic without records starts."""
    where = [TopicPartition(topic, partition) for partition in range(partitions)]
    ends, starts = await consumer.end_offsets(where), await consumer.beginning_offsets(where)
    for each in where:
        if ends[each] > starts[each]:
            raise OperatorError(
                f"the database is empty, and topic {topic} is not: partition {each.partition} ends at offset "
                f"{ends[each]}. {REBUILD}"
            )
    return {each.partition: starts[each] for each in where}


async def check_positions(
    settings: ServiceSettings,
    connection: Connection,
    consumers: Consumers,
    partitions: Iterable[int],
    *,
    may_be_older: bool = False,
) -> dict[int, int]:
    """Check that log and tables belong together; returns `next_offset` by partition.

    With `may_be_older`, what was published may be ahead of the tables.
    """
    topics, wanted = settings.topics, sorted(partitions)
    published = {} if may_be_older else await last_published(consumers.published, topics.events, "ce_id", wanted)
    watermarks: dict[int, int] = dict(await (await connection.execute(_WATERMARKS, (wanted,))).fetchall())
    where = [TopicPartition(topics.commands, partition) for partition in wanted]
    await check_published(connection, topics, published, watermarks)
    starts = {each.partition: start for each, start in (await consumers.commands.beginning_offsets(where)).items()}
    ends = {each.partition: end for each, end in (await consumers.commands.end_offsets(where)).items()}
    for partition in wanted:
        if partition not in watermarks:
            raise OperatorError(f"the database has no watermark for partition {partition}. {REBUILD}")
        _check_bounds(topics, partition, starts[partition], watermarks[partition], ends[partition])
    readable = {partition: offset - 1 for partition, offset in watermarks.items() if offset > starts[partition]}
    await _check_last_commands(connection, consumers.commands, topics, readable)
    return watermarks


async def check_published(
    connection: Connection, topics: Topics, published: Mapping[int, Published], watermarks: Mapping[int, int]
) -> None:
    """Check that the journal has the last event of each partition, and has it as it was published.

    Raises OperatorError. The hash of a journal row covers all rows before it. A pruned one is not compared.
    """
    for partition, each in published.items():
        if each.source.offset >= watermarks.get(partition, each.source.offset + 1):
            raise OperatorError(
                f"the database is older than what was published: {topics.events}/{partition} has the event of "
                f"{Position(topics.commands, partition, each.source.offset)}, and the journal ends before offset "
                f"{watermarks[partition]}. {REBUILD}"
            )
    places = [(partition, each.source.offset) for partition, each in published.items()]
    cursor = await connection.execute(_HASHES, ([place[0] for place in places], [place[1] for place in places]))
    for partition, offset, digest in await cursor.fetchall():
        if published[partition].journal_hash not in {None, bytes(digest)}:
            raise OperatorError(
                f"the database has another decision than the one that was published: of "
                f"{Position(topics.commands, partition, offset)} or a command before it. It has lost commits, whose "
                "events were published, and decided them again. Stop the processors and run `allocations rebuild` on "
                "an empty database: it takes the outcomes from the events"
            )


def _check_bounds(topics: Topics, partition: int, start: int, next_offset: int, end: int) -> None:
    if next_offset > end:
        raise OperatorError(
            f"{topics.commands}/{partition} ends at offset {end}, and the database has applied it up to {next_offset}: "
            "the log was shortened or created again. Restore the topic, or point the settings at the log that belongs "
            "to this database"
        )
    if next_offset < start:
        raise OperatorError(
            f"{topics.commands}/{partition} starts at offset {start}, and the database needs it from {next_offset}: "
            "commands were deleted before they were applied. Restore the topic, or the newest backup of the database; "
            "if they were pruned, run `allocations rebuild --checkpoint` on an empty database"
        )


async def _check_last_commands(
    connection: Connection, consumer: AIOKafkaConsumer, topics: Topics, last: Mapping[int, int]
) -> None:
    """The record before each watermark is the one that the journal has there."""
    cursor = await connection.execute(_COMMAND_IDS, (list(last), list(last.values())))
    journal = {partition: (command_id, value) async for partition, command_id, value in cursor}
    records = await read_at(consumer, topics.commands, last)
    for partition, offset in last.items():
        if partition not in journal or not is_same_record(records[partition].value, *journal[partition]):
            raise OperatorError(
                f"{Position(topics.commands, partition, offset)} is another record than the one in the journal: the "
                "topic was created again, or the database belongs to another log. Restore what belongs together"
            )


def is_same_record(value: bytes | None, command_id: str | None, dead_letter: bytes | None) -> bool:
    """Whether a record is the one that was journaled: by its command id, or byte for byte when it was parked."""
    if command_id is None:
        return content_of(value) == dead_letter
    return value is not None and f'"{command_id}"'.encode() in value.lower()
