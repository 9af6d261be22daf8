"""What must be true before anything is published or decided, or else a sentence that says what to do (decision 8)."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from aiokafka.admin import NewPartitions
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from schemas.commands import Amount, Edition, ReserveAllocation
from schemas.records import encode_command, key_of
from schemas.topics import partition_of, required_settings
from schemas.words import AfterFinal
from service.errors import EXIT_OPERATOR, OperatorError
from service.kafka import admin
from service.migrations import migrate
from service.start import check_assignment, check_start
from service.topics import ensure_topics
from tests.support.servers import Servers
from tests.support.system import System


async def worked(system: System, commands: int = 20) -> None:
    """A processor applies and publishes something and stops: topics and tables that belong together."""
    await system.processor("processor-before")
    async with system.producer() as producer:
        for _ in range(commands):
            asked = reserve()
            key = key_of(asked.allocation_id)
            partition = partition_of(key, system.partitions)
            await producer.send_and_wait(system.topics.commands, encode_command(asked), key=key, partition=partition)
    await system.caught_up()
    await system.records(system.topics.events, len(system.rows("SELECT 1 FROM journal")))
    await system.supervisor.remove("processor-before")


def reserve(partition: int | None = None) -> ReserveAllocation:
    """Of a new id, that belongs on a partition or wherever it may."""
    now = datetime.now(UTC)
    ids = iter(lambda: str(uuid.uuid4()), None)
    allocation_id = next(each for each in ids if partition in (None, partition_of(key_of(each), 8)))
    return ReserveAllocation(
        command_id=str(uuid.uuid4()),
        allocation_id=allocation_id,
        received_at=now,
        deadline=now + timedelta(seconds=15),
        amount=Amount(currency="BTC", quantity="5"),
        client_id=str(uuid.uuid4()),
        connection_id=str(uuid.uuid4()),
        partners_connection_id="account",
        edition=Edition(),
        after_final=AfterFinal.CONFLICT,
    )


async def refused(system: System, *words: str) -> None:
    """The checks that both processes run before anything else say all the words, once the broker says what changed."""
    with pytest.raises(OperatorError) as caught:
        await _check_until_refused(system)
    for word in words:
        assert word in str(caught.value)


async def _check_until_refused(system: System) -> None:
    async with asyncio.timeout(10):
        while True:
            identity = await check_start(system.settings(), claim=True)
            await check_assignment(system.settings(), range(identity.partitions))
            await asyncio.sleep(0.05)


async def refuse(system: System, *words: str) -> None:
    """Both processes end with status 78, once, and their last line has all the words."""
    verbs = ("processor", "ingress")
    expected = {(verb, EXIT_OPERATOR) for verb in verbs}
    await system.processor("processor", wait=False)
    await system.ingress("ingress", wait=False)
    async with asyncio.timeout(30):
        while not {(name, status) for name, status in system.ended if name in verbs} >= expected:
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)
    for verb in verbs:
        assert verb not in system.supervisor.pids(), "it was restarted"
        last = system.log(verb).read_text().splitlines()[-1]
        assert "refused_to_run" in last
        assert "Traceback" not in last
        for word in words:
            assert word in last, f"{word!r} is not in: {last}"


async def recreate(system: System, *topics: str, partitions: int | None = None) -> None:
    async with admin(system.settings()) as client:
        await client.delete_topics(list(topics))
        async with asyncio.timeout(20):
            while set(topics) & set(await client.list_topics()):
                await asyncio.sleep(0.1)
    async with asyncio.timeout(20):
        while True:
            try:
                await ensure_topics(system.settings(), partitions or system.partitions, replication=1)
            except Exception as error:  # noqa: BLE001 - the broker is still deleting
                print(error)
                await asyncio.sleep(0.2)
            else:
                return


async def test_a_topic_that_was_created_again_is_shorter_than_what_was_applied(system: System) -> None:
    await worked(system)
    await recreate(system, system.topics.commands)
    await refused(system, "ends at offset 0", "shortened or created again", "Restore the topic")


async def test_a_topic_that_was_created_again_and_filled_up(system: System) -> None:
    """As long as before, with other records: found by the command id of the last one."""
    await worked(system, 3)
    await recreate(system, system.topics.commands)
    async with system.producer() as producer:
        for partition in range(8):
            for _ in range(3):
                await producer.send_and_wait(system.topics.commands, b"something else", partition=partition)
    await refused(system, "another record than the one in the journal", "Restore what belongs together")


@pytest.mark.long
async def test_a_topic_that_was_created_again_and_filled_beyond_what_was_applied(system: System) -> None:
    """With good commands, so that a position that was answered before has another command's record now."""
    await worked(system, 24)
    journal = system.rows('SELECT * FROM journal ORDER BY partition, "offset"')
    applied = {row["partition"]: row["next_offset"] for row in system.rows("SELECT * FROM watermark")}
    await recreate(system, system.topics.commands)
    async with system.producer() as producer:
        for partition, next_offset in applied.items():
            for _ in range(next_offset + 3):
                asked = reserve(partition)
                key, value = key_of(asked.allocation_id), encode_command(asked)
                await producer.send_and_wait(system.topics.commands, value, key=key, partition=partition)
    await refuse(system, "another record than the one in the journal", "Restore what belongs together")
    assert journal == system.rows('SELECT * FROM journal ORDER BY partition, "offset"')
    with pytest.raises(aiohttp.ClientConnectorError):
        async with aiohttp.ClientSession() as session, session.get(system.urls["ingress"]):
            pass


async def test_another_number_of_partitions(system: System) -> None:
    await worked(system)
    async with admin(system.settings()) as client:
        for topic in required_settings(system.topics):
            await client.create_partitions({topic: NewPartitions(12)})
    await refused(system, "12 partitions", "was started with 8", "partitions can not be added or removed")


async def test_an_events_topic_with_another_number_of_partitions(system: System) -> None:
    async with admin(system.settings()) as client:
        await client.create_partitions({system.topics.events: NewPartitions(9)})
    await refused(system, "has 9 partitions", "create the topic again")


async def test_another_cluster(system: System) -> None:
    await worked(system)
    with_another_id = str(uuid.uuid4())
    system.rows("UPDATE log_identity SET cluster_id = %s RETURNING 1", with_another_id)
    await refused(system, "this is Kafka cluster", with_another_id, "point the settings at that cluster")


async def test_another_topic_prefix(system: System) -> None:
    await worked(system)
    system.prefix = f"{system.prefix}other."
    await system.create_topics()
    await refused(system, "the commands topic is set to", "set the topic prefix back")


async def test_a_database_that_is_older_than_what_was_published(system: System, servers: Servers) -> None:
    """A backup, taken between two days of work, is restored."""
    await worked(system)
    backup = f"backup_{uuid.uuid4().hex}"
    servers.execute(f"CREATE DATABASE {backup} TEMPLATE {system.database_url.rsplit('/', 1)[1]}")
    await worked(system)
    system.database_url = servers.database_url(backup)
    await refused(system, "older than what was published", "restore its newest backup")
    assert 20 == len(system.rows("SELECT 1 FROM journal"))
    servers.drop(backup)


@pytest.mark.long
async def test_a_database_with_another_decision_than_the_one_that_was_published(system: System) -> None:
    """It lost commits, and decided their commands again in another order; the hash of each row covers those before."""
    await worked(system)
    system.rows("UPDATE journal SET hash = sha256(hash) WHERE event IS NOT NULL RETURNING 1")
    await refused(system, "another decision than the one that was published", "`allocations rebuild`")


async def test_an_empty_database_beside_a_full_topic(system: System, servers: Servers, template: str) -> None:
    await worked(system)
    empty = f"empty_{uuid.uuid4().hex}"
    servers.execute(f"CREATE DATABASE {empty} TEMPLATE {template}")
    system.database_url = servers.database_url(empty)
    await refused(system, "the database is empty", "is not")
    servers.drop(empty)


async def test_an_empty_database_beside_events(system: System, servers: Servers, template: str) -> None:
    """The commands were deleted, by whoever thought to start anew."""
    await worked(system)
    await recreate(system, system.topics.commands)
    empty = f"empty_{uuid.uuid4().hex}"
    servers.execute(f"CREATE DATABASE {empty} TEMPLATE {template}")
    system.database_url = servers.database_url(empty)
    await refused(system, "the database is empty", "it has the event of")
    servers.drop(empty)


async def test_an_empty_database_beside_what_a_relay_has_only_begun(
    system: System, servers: Servers, template: str
) -> None:
    """Two processors start for the first time: the second looks when the first already relays."""
    await system.processor("processor-0")
    async with asyncio.timeout(10):
        while not (await system.metrics("processor-0"))["processor_relay_active"]:
            await asyncio.sleep(0.1)
    empty = f"empty_{uuid.uuid4().hex}"
    servers.execute(f"CREATE DATABASE {empty} TEMPLATE {template}")
    system.database_url = servers.database_url(empty)
    await system.processor("processor-1")
    for name in ("processor-0", "processor-1"):
        await system.supervisor.remove(name)
    servers.drop(empty)


async def test_topics_that_are_missing(system: System) -> None:
    system.prefix = f"missing{system.prefix}"
    await refuse(system, "does not exist", "allocations topics")


@pytest.mark.parametrize(
    ("topic", "setting", "value"),
    [
        ("commands", "message.timestamp.type", "CreateTime"),
        ("commands", "cleanup.policy", "compact"),
        ("commands", "retention.ms", "604800000"),
        ("events", "retention.bytes", "1000000"),
        ("commands", "unclean.leader.election.enable", "true"),
    ],
)
async def test_topic_settings_on_which_correctness_rests(system: System, topic: str, setting: str, value: str) -> None:
    name = getattr(system.topics, topic)
    async with admin(system.settings()) as client:
        kept = required_settings(system.topics)[name] | {setting: value}
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs=kept)])
    await refused(system, f"topic {name} has {setting}={value}", "kafka-configs.sh")


async def test_a_database_without_its_migrations(system: System, servers: Servers) -> None:
    bare = f"bare_{uuid.uuid4().hex}"
    servers.execute(f"CREATE DATABASE {bare}")
    system.database_url = servers.database_url(bare)
    await refused(system, "lacks migration", "allocations migrate")
    servers.drop(bare)


def test_a_database_whose_text_is_not_utf_8(servers: Servers) -> None:
    bytes_only = f"bytes_{uuid.uuid4().hex}"
    servers.execute(f"CREATE DATABASE {bytes_only} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(OperatorError, match="encoding is SQL_ASCII"):
        migrate(servers.database_url(bytes_only))
    servers.drop(bytes_only)


async def test_a_database_of_a_newer_version(system: System) -> None:
    system.rows(
        "INSERT INTO _yoyo_migration (migration_hash, migration_id, applied_at_utc) "
        "VALUES ('x', '9999.contracts-9998.future', now()) RETURNING 1"
    )
    await refused(system, "9999.contracts-9998.future", "start a newer version")
