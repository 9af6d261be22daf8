"""A broker that refuses the relay's records for now: aiokafka asks again without end, and the relay must not."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from processor.relay import relay
from service import kafka

NOT_ENOUGH_REPLICAS = 19
RECORD = {"topic": "events", "partition": 0, "key": b"id", "value": b"event", "headers": []}


async def transactional_producer() -> AIOKafkaProducer:
    """A real one, whose broker answers every request as it should, and to each record that a replica is missing."""
    producer = AIOKafkaProducer(bootstrap_servers="127.0.0.1:1", transactional_id="relay", enable_idempotence=True)
    client = producer.client

    async def nothing(*_: Any, **__: Any) -> bool:
        return True

    async def coordinator(*_: Any) -> int:
        return 0

    async def send(_node: int, request: Any, group: Any = None) -> Any:  # noqa: ARG001 - as aiokafka calls it
        answers = {
            "InitProducerId": SimpleNamespace(error_code=0, producer_id=1, producer_epoch=0),
            "AddPartitionsToTxn": SimpleNamespace(errors=[("events", [(0, 0)])]),
            "Produce": SimpleNamespace(API_VERSION=7, topics=[("events", [(0, NOT_ENOUGH_REPLICAS, -1, -1, 0)])]),
            "EndTxn": SimpleNamespace(error_code=0),
        }
        await asyncio.sleep(0)
        return next(answer for name, answer in answers.items() if type(request).__name__.startswith(name))

    for name in ("bootstrap", "ready", "_maybe_wait_metadata", "_wait_on_metadata", "close"):
        setattr(client, name, nothing)
    client.coordinator_lookup = coordinator
    client.force_metadata_update = lambda: asyncio.ensure_future(nothing())
    client.cluster.leader_for_partition = lambda _: 0
    client.api_version = (2, 5, 0)
    client.send = send
    await producer.start()
    producer._metadata = SimpleNamespace(partitions_for_topic=lambda _: {0})
    return producer


@pytest.mark.slow
async def test_given_a_record_that_is_refused_without_end_then_it_is_given_up_and_its_producer_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay, "ABORT_SECONDS", 0.2)
    monkeypatch.setattr(kafka, "CLOSE_SECONDS", 0.2)
    monkeypatch.setattr(kafka, "CANCEL_SECONDS", 0.2)
    producer = await transactional_producer()
    async with asyncio.timeout(20):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await relay._publish_all(producer, [RECORD])
        await kafka.close_producer(producer)
    assert producer._sender.sender_task.done()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        if "aiokafka" in str(task.get_coro()):
            task.cancel()
