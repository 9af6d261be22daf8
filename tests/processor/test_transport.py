"""What processor/kafka/transport.py and service/aiokafka_connection.py lean on in Faust and aiokafka, held by its text.

When this fails after an upgrade: read what changed there, check the override against it, run `make faults`, and only
then write the new digest.
"""

import hashlib
import inspect
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import aiokafka
import pytest
from aiokafka import client, conn
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.producer.message_accumulator import BatchBuilder, MessageBatch
from aiokafka.structs import TopicPartition
from faust.serializers.schemas import Schema
from faust.tables.manager import TableManager
from faust.transport.conductor import ConductorCompiler
from faust.transport.consumer import Consumer, ThreadDelegateConsumer
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import Message
from mode.threads import QueueServiceThread, ServiceThread

LEANED_ON: dict[Callable[..., Any], str] = {
    ServiceThread.start: "f11841038a033a05",
    ServiceThread.stop: "32d026539c3665b2",
    ServiceThread._shutdown_thread: "d7377862e73421a2",
    QueueServiceThread.call_thread: "479edda75b54734b",
    QueueServiceThread.on_thread_started: "73f6333fc9c9594f",
    driver.AIOKafkaConsumerThread._create_worker_consumer: "c2701bfc3e6f6cad",
    driver.AIOKafkaConsumerThread.seek_to_committed: "775ab0adc4b052ab",
    driver.AIOKafkaConsumerThread._seek_wait: "9d221e816d940467",
    driver.Consumer._new_consumer_thread: "0870ec53dea75083",
    ThreadDelegateConsumer.seek_to_committed: "f1d483b861b0328b",
    Consumer.perform_seek: "0e8c130ff4b0afd8",
    Consumer.getmany: "4b168d84882a70d6",
    Consumer._wait_next_records: "6218e1969a636b3f",
    driver.Consumer._to_message: "7c24f6511b2fcef7",
    ConductorCompiler.build: "837cf521368c1ee4",
    Message.__init__: "afe1f75975597bc3",
    Schema.compile: "d46eec5ce3195b2c",
    Consumer._drain_messages: "44a2500309e83c63",
    TableManager.on_start: "365dd25fbc0e0684",
    MessageBatch.done: "2d765e5c2dc8638d",
    aiokafka.AIOKafkaConsumer.commit: "79b057d88220e5a2",
    GroupCoordinator._maybe_leave_group: "016cd88a16e6c4b5",
    GroupCoordinator.need_rejoin: "61ae72b2a3110943",
    conn.create_conn: "673276cbddb4dc7c",
    conn.AIOKafkaConnection.send: "5909ea32f4efca49",
    conn.AIOKafkaConnection._send_sasl_token: "7a3d948fc526c953",
    conn.AIOKafkaConnection.__init__: "16e2b58e6f2b760a",
    conn.AIOKafkaConnection.connect: "b0f9ba7f0cf6b432",
    conn.AIOKafkaConnection.close: "28f164aa1e4f0bbc",
    conn.AIOKafkaConnection._read: "7b892995c0b81468",
    conn.OAuthAuthenticator.step: "3a013ab61098033c",
    conn.collect_hosts: "de96a718373bce1d",
    client.AIOKafkaClient.bootstrap: "198943b004e55849",
    client.AIOKafkaClient.send: "246b277687d7b687",
    client.AIOKafkaClient._get_conn: "68ce5d8391719d33",
    client.AIOKafkaClient._metadata_update: "06dc51ed3e0d38b8",
}


def digest(function: Callable[..., Any]) -> str:
    return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("function", "expected"), LEANED_ON.items(), ids=lambda each: getattr(each, "__qualname__", "")
)
def test_nothing_that_we_override_or_call_has_changed(function: Callable[..., Any], expected: str) -> None:
    assert expected == digest(function)


def test_the_versions_are_the_ones_that_were_measured() -> None:
    assert {"faust-streaming": "0.15.3", "aiokafka": "0.14.0", "mode-streaming": "0.7.1"} == {
        name: version(name) for name in ("faust-streaming", "aiokafka", "mode-streaming")
    }


def test_the_consumer_still_has_the_private_field_that_we_set() -> None:
    source = inspect.getsource(aiokafka.AIOKafkaConsumer)
    assert "self._fetch_max_wait_ms = fetch_max_wait_ms" in source
    assert source.index("self._fetch_max_wait_ms = fetch_max_wait_ms") < source.index(
        "fetch_max_wait_ms=self._fetch_max_wait_ms"
    )


async def test_an_offset_that_the_broker_did_not_give_is_known_by_its_timestamp_type() -> None:
    """The publisher rests on this: the second record of a forgotten duplicate gets offset 0, and type 0."""
    batch = MessageBatch(TopicPartition("topic", 0), BatchBuilder(16384, 0, is_transactional=False), 30, 0)
    futures = [batch.append(b"key", b"value", None) for _ in range(2)]
    batch.done(-1, -1, -1)
    assert [(-1, 0), (0, 0)] == [(future.result().offset, future.result().timestamp_type) for future in futures]
