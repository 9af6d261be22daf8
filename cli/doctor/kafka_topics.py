"""The three topics as they are now, against what correctness and a lost broker ask of them."""

from collections.abc import Iterator
from typing import Any, Final

from cli.doctor.finding import Finding, fail, ok, warn
from schemas.topics import required_settings
from service.kafka import ClusterFacts, TopicFacts, admin, describe
from service.log_checks import ENOUGH_IN_SYNC, ENOUGH_REPLICAS
from service.settings import ServiceSettings

CHECK: Final = "kafka topics"
MESSAGE_BYTES: Final = 1_048_588
"""Kafka's default for max.message.bytes, with which everything was tried."""
OF_KAFKA: Final = ("__consumer_offsets", "__transaction_state")


async def check(settings: ServiceSettings) -> list[Finding]:
    names = list(required_settings(settings.topics))
    async with admin(settings) as client:
        facts = await describe(client, names)
        listed = {each["topic"]: each["partitions"] for each in await client.describe_topics()}
    found = [each for name in names for each in _topic(name, facts, settings)]
    found += [each for name in names if name in listed for each in _replicas(name, listed[name])]
    found += [each for name in OF_KAFKA for each in _of_kafka(name, listed.get(name))]
    return found or [ok(CHECK, f"{', '.join(names)}: {facts.topics[names[0]].partitions} partitions, as they must be")]


def _topic(name: str, facts: ClusterFacts, settings: ServiceSettings) -> Iterator[Finding]:
    topic = facts.topics.get(name)
    if topic is None:
        yield fail(
            CHECK, f"{name} does not exist, or this user has not the right Describe on it", "`allocations topics`"
        )
        return
    commands = facts.topics.get(settings.topics.commands)
    if commands and topic.partitions != commands.partitions:
        yield fail(
            CHECK,
            f"{name} has {topic.partitions} partitions, and {settings.topics.commands} {commands.partitions}",
            "an event stands on its command's partition: create the topic again",
        )
    for setting, needed in required_settings(settings.topics)[name].items():
        if topic.settings.get(setting) != needed:
            yield fail(
                CHECK,
                f"{name} has {setting}={topic.settings.get(setting)}, and the tables follow from it only with {needed}",
                f"`kafka-configs.sh --alter --topic {name} --add-config {setting}={needed}`",
            )
    yield from _durability(name, topic)


def _durability(name: str, topic: TopicFacts) -> Iterator[Finding]:
    in_sync = int(topic.settings.get("min.insync.replicas", 1))
    if topic.replication < in_sync:
        yield fail(
            CHECK,
            f"{name} has {topic.replication} copies, and a write needs {in_sync}",
            "add copies: nothing can be written",
        )
    elif topic.replication < ENOUGH_REPLICAS or in_sync < ENOUGH_IN_SYNC:
        yield warn(
            CHECK,
            f"{name} has replication {topic.replication} and min.insync.replicas={in_sync}",
            "3 and 2: otherwise a lost broker takes acknowledged commands with it",
        )
    elif topic.replication == in_sync:
        yield warn(CHECK, f"{name} needs all its {in_sync} copies", "3 copies and 2: a lost broker stops every write")
    size = int(topic.settings.get("max.message.bytes", MESSAGE_BYTES))
    if size < MESSAGE_BYTES:
        yield warn(
            CHECK,
            f"{name} has max.message.bytes={size}",
            f"{MESSAGE_BYTES}, Kafka's default: a larger batch is refused, and tried again",
        )


def _replicas(name: str, partitions: list[dict[str, Any]]) -> Iterator[Finding]:
    if without := [each["partition"] for each in partitions if each["leader"] < 0]:
        yield fail(CHECK, f"{name} has no leader for partitions {without}", "bring a broker with a copy back")
    if behind := [each["partition"] for each in partitions if len(each["isr"]) < len(each["replicas"])]:
        yield warn(
            CHECK, f"{name} has copies that are away or behind, of partitions {behind}", "see which broker is away"
        )


def _of_kafka(name: str, partitions: list[dict[str, Any]] | None) -> Iterator[Finding]:
    """Where it is not there yet, or this user may not see it, nothing is said."""
    if partitions and (copies := min(len(each["replicas"]) for each in partitions)) < ENOUGH_REPLICAS:
        yield warn(
            CHECK,
            f"{name} of Kafka's own has replication {copies}",
            "3 (offsets.topic.replication.factor, transaction.state.log.replication.factor): with its only copy away, "
            "no processor joins and no event is published",
        )
