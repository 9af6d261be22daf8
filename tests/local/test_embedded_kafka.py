"""The real Kafka: what survives a kill, and what an interrupted first start leaves."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from local.folder import hold
from local.kafka import Kafka
from local.report import LocalError
from local.supervisor import Supervisor

Appears = Callable[[Path], Awaitable[None]]
COMMANDS = TopicPartition("commands", 0)


async def create_topic(kafka: Kafka) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(COMMANDS.topic, 1, 1)])
    await admin.close()


async def publish(kafka: Kafka, value: bytes) -> int:
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, acks="all", enable_idempotence=True) as producer:
        sent = await producer.send_and_wait(COMMANDS.topic, value, partition=COMMANDS.partition)
        return int(sent.offset)


async def records(kafka: Kafka, count: int) -> list[bytes | None]:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap, enable_auto_commit=False)
    async with consumer, asyncio.timeout(10):
        consumer.assign([COMMANDS])
        await consumer.seek_to_beginning()
        return [(await consumer.getone()).value for _ in range(count)]


async def test_records_and_address_survive_a_kill_and_a_stop(
    tmp_path: Path, jars: Path, archive: Path | None, said: list[str]
) -> None:
    kafka = Kafka(tmp_path, jars, said.append, archive=archive)
    await kafka.prepare()
    address, cluster = kafka.bootstrap, (tmp_path / "kafka/data/meta.properties").read_text()
    async with Supervisor(said.append) as supervisor:
        pid = supervisor.start(kafka.child())
        await kafka.wait_ready()
        await create_topic(kafka)
        assert await publish(kafka, b"before the kill") == 0

        supervisor.signal("kafka", signal.SIGKILL)
        await supervisor.restarted("kafka", pid)
        await kafka.wait_ready()
        assert await publish(kafka, b"after the kill") == 1
    kafka.close()
    assert any(line.startswith("waiting for Kafka") for line in said)

    again = Kafka(tmp_path, jars, said.append, archive=archive)
    await again.prepare()
    async with Supervisor(said.append) as supervisor:
        supervisor.start(again.child())
        await again.wait_ready()
        assert await records(again, 2) == [b"before the kill", b"after the kill"]
        again.close()
        with pytest.raises(LocalError, match="in use"):
            await hold(again.folder, said.append, timeout_seconds=0)
    assert (again.bootstrap, (tmp_path / "kafka/data/meta.properties").read_text()) == (address, cluster)
    assert "started" in (tmp_path / "logs/kafka-server.log").read_text().lower()


PREPARE = """
import asyncio, sys
from pathlib import Path
from local.folder import hold
from local.kafka import Kafka
asyncio.run(Kafka(Path(sys.argv[1]), Path(sys.argv[2]), print).prepare())
"""


async def test_a_kill_during_the_format_leaves_a_folder_that_works(
    tmp_path: Path, jars: Path, archive: Path | None, said: list[str], appears: Appears
) -> None:
    for attempt in range(10):  # on a busy machine the kill may come when the format is done
        folder = tmp_path / str(attempt)
        folder.mkdir()
        unfinished, whole = folder / "kafka/data.unfinished", folder / "kafka/data"
        with subprocess.Popen([sys.executable, "-c", PREPARE, folder, jars]) as first:  # noqa: ASYNC220, S603
            await appears(unfinished)
            first.kill()
        if not whole.exists():
            break
    assert not whole.exists()

    kafka = Kafka(folder, jars, said.append, archive=archive)
    await kafka.prepare()
    assert (whole / "meta.properties").exists()
    assert not unfinished.exists()
    kafka.close()


async def test_a_cancelled_format_leaves_no_process(
    tmp_path: Path, jars: Path, said: list[str], appears: Appears
) -> None:
    before = children()
    kafka = Kafka(tmp_path, jars, said.append)
    preparing = asyncio.create_task(kafka.prepare())
    await appears(tmp_path / "logs/kafka.log")
    preparing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await preparing
    assert before == children()
    kafka.close()


def children() -> set[str]:
    """The processes that this one has started and not waited for; other tests may have some."""
    return {pid for each in Path("/proc/self/task").glob("*/children") for pid in each.read_text().split()}


async def test_a_node_that_does_not_come_up_is_an_error_with_its_last_words(
    tmp_path: Path, jars: Path, archive: Path | None, said: list[str]
) -> None:
    kafka = Kafka(tmp_path, jars, said.append, archive=archive, flags=("-XX:NoSuchFlag",))
    await kafka.prepare()
    async with Supervisor(said.append) as supervisor:
        supervisor.start(kafka.child())
        with pytest.raises(LocalError, match=r"Kafka was not ready after 1 s(.|\n)*NoSuchFlag"):
            await kafka.wait_ready(1)
    kafka.close()
