"""Records of a relay's transaction that a broker forgot to close (record 0014)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import InvalidTxnState

from bitgo.client import reserve_body
from processor import metrics
from processor.relay import hanging_transactions, relay
from processor.settings import ProcessorSettings
from schemas.words import Kind
from service.health import Health
from service.kafka import admin, reader
from tests.support.system import System


async def test_what_a_transaction_left_open_is_never_committed(system: System) -> None:
    """The next commit of the same producer would close it."""
    async with _unverified_transactions(system):
        await _leave_open(system)
    await system.processor()
    async with await system.ingress() as bitgo:
        for _ in range(20):
            assert (await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))).status == 200
    await system.caught_up()
    records = await system.records(system.topics.events, 20)
    assert 20 == len(records)
    assert b"left open" not in {record.value for record in records}


async def test_what_is_left_open_while_the_relay_lives_is_found(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else consumers would see nothing more of that partition until its next event."""
    monkeypatch.setattr(hanging_transactions, "LOOK_SECONDS", 0.5)
    producers: list[AIOKafkaProducer] = []

    def kept(**options: Any) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(**options)
        if options["transactional_id"].endswith("-relay"):
            producers.append(producer)
        return producer

    monkeypatch.setattr(relay, "AIOKafkaProducer", kept)
    await system.processor()
    await system.supervisor.remove("processor-0")
    settings = ProcessorSettings(instance_id="relay-only", **system.settings().model_dump())
    async with _unverified_transactions(system), asyncio.timeout(30):
        await _leave_open(system)
        relaying = asyncio.create_task(relay.Relay(settings, Health()).run())
        while not metrics.RELAYING._value.get():  # type: ignore[attr-defined]
            await asyncio.sleep(0.05)
        await _send(system, producers[0])
        producers[0]._txn_manager.committing_transaction()
        producers[0]._txn_manager.complete_transaction()
        assert await _stands_open(system)
        while await _stands_open(system):
            await asyncio.sleep(0.2)
        assert 2 == len(producers)
        relaying.cancel()
        await asyncio.wait({relaying})


async def _stands_open(system: System) -> bool:
    where = [TopicPartition(system.topics.events, partition) for partition in range(system.partitions)]
    async with reader(system.settings()) as committed, reader(system.settings(), "read_uncommitted") as written:
        return await committed.end_offsets(where) != await written.end_offsets(where)


async def _leave_open(system: System) -> None:
    """Records under the relay's name, as soon as the broker no longer asks the transaction's coordinator."""
    async with asyncio.timeout(20):
        while not await _left_open(system):
            await asyncio.sleep(0.1)


async def _left_open(system: System) -> bool:
    producer = AIOKafkaProducer(
        bootstrap_servers=system.kafka, transactional_id=f"{system.prefix}allocations-relay", enable_idempotence=True
    )
    await producer.start()
    try:
        await _send(system, producer)
    except InvalidTxnState:
        return False
    else:
        return True
    finally:  # without `stop`, which would close the transaction
        await producer._sender.close()
        await producer.client.close()
        producer._closed = True


async def _send(system: System, producer: AIOKafkaProducer) -> None:
    """To every partition, in a transaction of which its coordinator knows nothing."""
    await producer.begin_transaction()
    for partition in range(system.partitions):
        where = TopicPartition(system.topics.events, partition)
        producer._txn_manager._txn_partitions.add(where)
        await producer.send_and_wait(where.topic, b"left open", b"key", partition)


@asynccontextmanager
async def _unverified_transactions(system: System) -> AsyncIterator[None]:
    async with admin(system.settings()) as client:
        [broker] = (await client.describe_cluster())["brokers"]

        async def verify(verified: str) -> None:
            settings = {"transaction.partition.verification.enable": verified}
            resource = ConfigResource(ConfigResourceType.BROKER, str(broker["node_id"]), settings)
            answers = await client.alter_configs([resource])
            assert [0] == [each[0] for answer in answers for each in answer.resources], answers

        await verify("false")
        try:
            yield
        finally:
            await verify("true")
