"""`allocations up --brokers 3`: what it makes, that a broker can be lost, and that a folder keeps its number."""

import asyncio
import signal
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from bitgo.client import BitGo, load_private_key, reserve_body
from local.cluster import check_nodes
from local.report import LocalError
from local.servers import servers_of
from local.stack import Options, Stack
from schemas.topics import Topics
from schemas.words import Kind

BACK_SECONDS = 60


async def test_given_three_brokers_then_one_can_be_killed_and_each_has_a_copy(tmp_path: Path) -> None:
    options = Options(tmp_path, port=0, ingresses=1, processors=1, partitions=3, brokers=3)
    async with Stack(options, print) as stack:
        assert 3 == len(stack.description()["pids"]["kafka"])
        topics = await described(stack.kafka)
        for name in (Topics().commands, Topics().events, "__consumer_offsets", "__transaction_state"):
            assert {3} == {len(partition["isr"]) for partition in topics[name]["partitions"]}, name
        key = load_private_key(stack.private_key.read_bytes())
        async with BitGo(stack.url, key) as bitgo:
            assert 200 == await reserved(bitgo)
            pid = stack.supervisor.pids()["kafka-2"]
            stack.supervisor.signal("kafka-2", signal.SIGKILL)
            async with asyncio.timeout(BACK_SECONDS):
                while await reserved(bitgo) != 200:
                    await asyncio.sleep(0.2)
            await stack.supervisor.restarted("kafka-2", pid)
    async with servers_of(tmp_path, print) as servers:
        assert 3 == len(servers.kafka.split(","))
    with pytest.raises(LocalError, match="was begun with --brokers 3"):
        check_nodes(tmp_path, 1)


async def described(kafka: str) -> dict[str, dict[str, list[dict[str, list[int]]]]]:
    client = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await client.start()
    try:
        return {topic["topic"]: topic for topic in await client.describe_topics()}
    finally:
        await client.close()


async def reserved(bitgo: BitGo) -> int:
    return (await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))).status


def test_given_a_folder_of_one_broker_then_three_are_refused(tmp_path: Path) -> None:
    (tmp_path / "kafka").mkdir()
    check_nodes(tmp_path, 1)
    with pytest.raises(LocalError, match="start with --brokers 1"):
        check_nodes(tmp_path, 3)


@pytest.mark.parametrize("brokers", [1, 3])
def test_given_a_new_folder_then_any_number_is_taken(tmp_path: Path, brokers: int) -> None:
    check_nodes(tmp_path, brokers)
