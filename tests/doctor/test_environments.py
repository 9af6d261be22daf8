"""`allocations doctor --production` on real servers: all well, and each thing that can be wrong."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from cli.doctor import clocks
from local.ports import reserve_port
from service.topics import ensure_topics
from tests.doctor.conftest import Place
from tests.support.cli import run
from tests.surroundings.rights import Operation, Resource, processor_rights

pytestmark = pytest.mark.long
WIDE = {"COLUMNS": "200"}
"""A terminal in which no row of the table is broken."""


async def test_given_all_is_well_then_nothing_fails(place: Place) -> None:
    looked = await place.look()
    assert (0, []) == (looked.status, [row for row in looked.rows if row["verdict"] == "fail"])
    for check in ("kafka rights", "postgres rights"):
        assert "ingress, processor: exactly those that are needed → " == looked.said("ok", check)
        assert "" == looked.said("warn", check)
    assert "ingress, processor: both are empty" in looked.said("ok", "log and tables")
    assert "has replication 1" in looked.said("warn", "kafka topics")
    assert "no TLS" in looked.said("warn", "postgres")
    assert "no standby and no archive" in looked.said("warn", "commits")


async def test_given_the_table_then_it_says_what_to_do_and_counts(place: Place) -> None:
    ran = await run("doctor", "--production", **place.environment | WIDE | {"PROCESSOR_CONNECTIONS": "open"})
    assert 1 == ran.status
    assert "PROCESSOR_CONNECTIONS is open" in ran.out
    assert "→ that is for development: set it to registered" in ran.out
    assert ran.out.rstrip().endswith(" 1 fail")


async def test_given_it_has_looked_then_nothing_has_changed(place: Place) -> None:
    await place.look()
    looked = await place.look()
    assert "both are empty" in looked.said("ok", "log and tables")


async def altered(place: Place, topic: str, **settings: str) -> None:
    client = AIOKafkaAdminClient(bootstrap_servers=place.kafka.bootstrap)
    await client.start()
    try:
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=settings)])
    finally:
        await client.close()


async def replaced(place: Place, topic: str, partitions: int | None) -> None:
    client = AIOKafkaAdminClient(bootstrap_servers=place.kafka.bootstrap)
    await client.start()
    try:
        await client.delete_topics([topic])
        while topic in await client.list_topics():
            await asyncio.sleep(0.1)
        if partitions:
            await client.create_topics([NewTopic(topic, partitions, 1)])
            while topic not in await client.list_topics():
                await asyncio.sleep(0.1)
    finally:
        await client.close()


async def test_given_topics_that_are_not_as_they_must_be(place: Place) -> None:
    await altered(place, place.topics.commands, **{"retention.ms": "86400000", "message.timestamp.type": "CreateTime"})
    await altered(place, place.topics.events, **{"cleanup.policy": "compact", "min.insync.replicas": "2"})
    await replaced(place, place.topics.dead_letters, 3)
    looked = await place.look()
    said = looked.said("fail", "kafka topics")
    assert 1 == looked.status
    for words in (
        f"{place.topics.commands} has retention.ms=86400000",
        f"--alter --topic {place.topics.commands} --add-config retention.ms=-1",
        "message.timestamp.type=CreateTime",
        "cleanup.policy=compact",
        f"{place.topics.events} has 1 copies, and a write needs 2",
        f"{place.topics.dead_letters} has 3 partitions",
    ):
        assert words in said
    assert {"kafka topics"} == looked.failing


async def test_given_a_topic_is_missing(place: Place) -> None:
    await replaced(place, place.topics.events, None)
    looked = await place.look()
    assert f"{place.topics.events} does not exist" in looked.said("fail", "kafka topics")
    assert "allocations topics" in looked.said("fail", "kafka topics")
    assert f"there is no {place.topics.events}" in looked.said("warn", "log and tables")


async def test_given_a_small_message_size_then_it_is_warned_of(place: Place) -> None:
    await altered(place, place.topics.dead_letters, **{"max.message.bytes": "20000"})
    assert "max.message.bytes=20000" in (await place.look()).said("warn", "kafka topics")


async def test_given_a_broker_whose_clock_runs_ahead(place: Place) -> None:
    await altered(place, place.topics.commands, **{"message.timestamp.type": "CreateTime"})
    producer = AIOKafkaProducer(bootstrap_servers=place.kafka.bootstrap)
    await producer.start()
    await producer.send_and_wait(place.topics.commands, b"", partition=1, timestamp_ms=int(time.time() * 1000) + 60_000)
    await producer.stop()
    looked = await place.look()
    assert "partitions [1]" in looked.said("fail", "broker's clock")
    assert "the database is empty, and topic" in looked.said("fail", "log and tables")


@pytest.mark.parametrize(("ahead", "verdict"), [(0, "ok"), (3, "warn"), (-3, "warn"), (10, "fail"), (-10, "fail")])
async def test_given_clocks_that_differ(
    place: Place, monkeypatch: pytest.MonkeyPatch, ahead: float, verdict: str
) -> None:
    there = time.time
    monkeypatch.setattr(clocks.time, "time", lambda: there() + ahead)
    assert [verdict] == [each.verdict for each in await clocks.check_postgres(place.settings)]


async def test_given_missing_rights_in_kafka_then_each_is_named(place: Place) -> None:
    bare = Place(place.kafka, place.postgres, place.folder)
    bare.execute(f"CREATE DATABASE {bare.database}", database="postgres")
    looked = await place.look(
        PROCESSOR_TOPIC_PREFIX=bare.prefix, PROCESSOR_GROUP_ID="another", PROCESSOR_POSTGRES_URL=bare.url("postgres")
    )
    said = looked.said("fail", "kafka rights")
    topics = bare.topics
    for words in (
        f"processor: this user lacks Read, Describe, DescribeConfigs on topic {topics.commands}",
        f"processor: this user lacks Read, Write, Describe, DescribeConfigs on topic {topics.events}",
        "processor: this user lacks Read on group another",
        f"processor: this user lacks Write, Describe on transactional id {bare.prefix}allocations-relay",
        f"processor: this user lacks Write, Describe on transactional id {bare.prefix}allocations-dead-letters",
    ):
        assert words in said
    assert "ingress" not in said


async def test_given_one_right_in_kafka_is_missing_then_it_alone_is_named(place: Place) -> None:
    other = Place(place.kafka, place.postgres, place.folder)
    other.execute(f"CREATE DATABASE {other.database}", database="postgres")
    await ensure_topics(other.settings, 2, replication=1)
    relay = f"{other.prefix}allocations-relay"
    without = {
        (Resource.TOPIC, other.topics.events, Operation.DESCRIBE_CONFIGS),
        (Resource.TRANSACTIONAL_ID, relay, Operation.WRITE),
    }
    rights = [each for each in processor_rights(other.topics, f"{other.prefix}group") if tuple(each) not in without]
    await place.grant("processor", rights)
    looked = await place.look(
        PROCESSOR_TOPIC_PREFIX=other.prefix,
        PROCESSOR_GROUP_ID=f"{other.prefix}group",
        PROCESSOR_POSTGRES_URL=other.url("postgres"),
    )
    assert [
        f"processor: this user lacks DescribeConfigs on topic {other.topics.events}",
        f"processor: this user lacks Write on transactional id {relay}",
    ] == [line.partition(" → ")[0] for line in looked.said("fail", "kafka rights").splitlines()]


async def test_given_a_user_who_may_do_everything_then_it_is_warned_of(place: Place) -> None:
    looked = await place.look(
        PROCESSOR_KAFKA_BOOTSTRAP_SERVERS=place.kafka.bootstrap, PROCESSOR_KAFKA_SECURITY_PROTOCOL="PLAINTEXT"
    )
    said = looked.said("warn", "kafka rights")
    assert f"processor: this user may also Write, Delete, Alter, AlterConfigs on topic {place.topics.commands}" in said
    assert "ingress:" not in said
    assert 0 == looked.status


@contextmanager
def changed(place: Place, change: str, back: str) -> Iterator[None]:
    place.execute(change)
    try:
        yield
    finally:
        place.execute(back)


@pytest.mark.parametrize(
    ("change", "back", "check", "words"),
    [
        (
            "ALTER ROLE processor SET synchronous_commit = off",
            "ALTER ROLE processor RESET ALL",
            "commits",
            "processor: synchronous_commit is off for this role here",
        ),
        (
            "ALTER ROLE processor SET default_transaction_read_only = on",
            "ALTER ROLE processor RESET ALL",
            "postgres settings",
            "processor: default_transaction_read_only is on",
        ),
        (
            "REVOKE INSERT, UPDATE ON account FROM processor",
            "GRANT INSERT, UPDATE ON account TO processor",
            "postgres rights",
            "processor: this role lacks INSERT, UPDATE on account",
        ),
        (
            "REVOKE SELECT ON notification_channel FROM ingress",
            "GRANT SELECT ON notification_channel TO ingress",
            "postgres rights",
            "ingress: this role lacks SELECT on notification_channel",
        ),
        (
            "ALTER ROLE ingress CONNECTION LIMIT 20",
            "ALTER ROLE ingress CONNECTION LIMIT -1",
            "connections",
            "is limited to 20",
        ),
    ],
    ids=["synchronous_commit", "read-only", "a right", "the channel", "connection limit"],
)
async def test_given_a_role_that_is_not_as_it_must_be(
    place: Place, change: str, back: str, check: str, words: str
) -> None:
    with changed(place, change, back):
        looked = await place.look()
    assert (1, {check}) == (looked.status, looked.failing)
    assert words in looked.said("fail", check)


async def test_given_roles_that_may_do_too_much_then_they_are_warned_of(place: Place) -> None:
    place.execute("GRANT UPDATE ON allocation TO ingress")
    looked = await place.look(PROCESSOR_POSTGRES_URL=place.url("postgres"))
    said = looked.said("warn", "postgres rights")
    assert "ingress: this role may also write allocation" in said
    assert "processor: this role is a superuser" in said
    place.execute("ALTER TABLE journal OWNER TO processor")
    assert "processor: this role owns 1 of the tables" in (await place.look()).said("warn", "postgres rights")
    assert 0 == looked.status


async def having(place: Place, **settings: str) -> None:
    """Until new connections see them: a server reads its files when it comes to it."""
    place.postgres.set(**settings)
    async with asyncio.timeout(30):
        while True:
            with psycopg.connect(place.url("postgres")) as connection:
                seen = {name: connection.execute(f"SHOW {name}".encode()).fetchone() for name in settings}
            if seen == {name: (value,) for name, value in settings.items()}:
                return
            await asyncio.sleep(0.1)


async def test_given_a_server_that_may_lose_what_it_committed(place: Place) -> None:
    await having(place, fsync="off", full_page_writes="off")
    try:
        looked = await place.look()
    finally:
        place.postgres.set(fsync="", full_page_writes="")
    assert "fsync is off" in looked.said("fail", "postgres settings")
    assert "full_page_writes is off" in looked.said("fail", "postgres settings")


async def test_given_a_synchronous_standby_that_nobody_waits_for(place: Place) -> None:
    await having(place, synchronous_standby_names="ANY 1 (one)", synchronous_commit="local")
    try:
        looked = await place.look()
    finally:
        place.postgres.set(synchronous_standby_names="", synchronous_commit="")
    assert "synchronous_commit is local: no commit waits for ANY 1 (one)" in looked.said("fail", "commits")


async def test_given_a_database_without_tables(place: Place) -> None:
    bare = Place(place.kafka, place.postgres, place.folder)
    bare.execute(f"CREATE DATABASE {bare.database}", database="postgres")
    looked = await place.look(PROCESSOR_POSTGRES_URL=bare.url("processor"))
    assert {"migrations"} == looked.failing
    assert "processor: the database lacks migration 0001" in looked.said("fail", "migrations")
    assert "allocations migrate" in looked.said("fail", "migrations")


async def test_given_a_database_of_another_encoding(place: Place) -> None:
    name = f"{place.database}_latin"
    place.execute(
        f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0",
        database="postgres",
    )
    looked = await place.look(PROCESSOR_POSTGRES_URL=place.url("processor").replace(place.database, name))
    assert "encoding is SQL_ASCII" in looked.said("fail", "postgres")


async def test_given_more_processes_than_connections(place: Place) -> None:
    ran = await run("doctor", "--production", "--ingresses", "5", "--processors", "8", **place.environment | WIDE)
    assert 1 == ran.status
    assert "5 ingresses and 8 processors may have 149" in ran.out
    assert "raise max_connections" in ran.out


async def test_given_two_logs_and_a_database_of_one(place: Place) -> None:
    place.execute("INSERT INTO log_identity VALUES (true, 'another-cluster', 'allocation-commands', 2)")
    looked = await place.look()
    assert {"log and tables"} == looked.failing
    assert "the database is the state of another-cluster" in looked.said("fail", "log and tables")


async def test_given_no_server_at_all_then_what_was_not_looked_at_is_named(place: Place) -> None:
    nowhere = f"127.0.0.1:{reserve_port()}"
    looked = await place.look(
        PROCESSOR_KAFKA_BOOTSTRAP_SERVERS=nowhere, PROCESSOR_POSTGRES_URL=f"postgresql://u:hunter2hunter2@{nowhere}/d"
    )
    assert {"kafka", "postgres"} == looked.failing
    assert "processor: not looked at, for want of an answer: kafka topics, kafka rights" in looked.said("warn", "kafka")
    assert "migrations" in looked.said("warn", "postgres")
    assert "ingress: both are empty" in looked.said("ok", "log and tables")


async def test_given_servers_that_never_answer_then_it_ends_all_the_same(place: Place) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    silent = f"127.0.0.1:{server.getsockname()[1]}"
    only = {name: value for name, value in place.environment.items() if name.startswith("PROCESSOR")}
    began = time.monotonic()
    try:
        ran = await run(
            "doctor",
            "--production",
            **only
            | {
                "PROCESSOR_KAFKA_BOOTSTRAP_SERVERS": silent,
                "PROCESSOR_POSTGRES_URL": f"postgresql://u:hunter2hunter2@{silent}/d",
            },
        )
    finally:
        server.close()
    assert 1 == ran.status
    assert "hunter2" not in ran.out + ran.err
    assert time.monotonic() - began < 60


async def test_given_one_of_several_brokers_is_not_there_then_it_is_named(place: Place) -> None:
    nowhere = f"127.0.0.1:{reserve_port()}"
    looked = await place.look(INGRESS_KAFKA_BOOTSTRAP_SERVERS=f"{nowhere},{place.kafka.guarded}")
    assert f"ingress: {nowhere} of …_KAFKA_BOOTSTRAP_SERVERS" in looked.said("warn", "kafka")
    assert 0 == looked.status


async def test_given_a_wrong_password(place: Place) -> None:
    looked = await place.look(
        INGRESS_KAFKA_SASL_PASSWORD="hunter2wrong",
        PROCESSOR_POSTGRES_URL=place.url("processor").replace("hunter2", "no"),
    )
    assert {"kafka", "postgres"} == looked.failing
    assert "Invalid username or password" in looked.said("fail", "kafka")
    assert "password authentication failed" in looked.said("fail", "postgres")
