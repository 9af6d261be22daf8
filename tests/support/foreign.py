"""A foreign client of Kafka: writes batches of bytes that our own producers never would."""

import asyncio
import gzip
import struct
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.codec import lz4_encode, snappy_encode, zstd_encode
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition

Record = tuple[bytes | None, bytes | None, list[tuple[bytes, bytes | None]]]
"""Key, value, headers: the names of headers are bytes."""

HEADER_BYTES = 61


class RefusedError(Exception):
    """The broker did not take it."""


CRC_AT, ATTRIBUTES_AT = 17, 21
CODECS = GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4


def batch(*records: Record) -> bytes:
    """A batch in Kafka's format. Names are put in afterwards, because the builder takes text only."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1_000_000_000)
    names: list[bytes] = []
    for offset, (key, value, headers) in enumerate(records):
        places = [(_place(len(names) + n, len(name)), content) for n, (name, content) in enumerate(headers)]
        names.extend(name for name, _ in headers)
        assert builder.append(offset, 0, key, value, places) is not None
    raw = bytes(builder.build())
    for number, name in enumerate(names):
        raw = raw.replace(_place(number, len(name)).encode(), name)
    return sealed(raw)


def _place(number: int, length: int) -> str:
    """A text that stands nowhere else, in the place of a name of that length."""
    text = f"{number}~place~holder~"
    assert length >= len(text), "names must be longer"
    return text.ljust(length, "~")


def compressed(plain: bytes, codec: int) -> bytes:
    """The batch with its records compressed as Kafka's own clients do it; snappy in Java's framing."""
    records = plain[HEADER_BYTES:]
    if codec == GZIP:
        content = gzip.compress(records)
    elif codec == SNAPPY:
        content = snappy_encode(records)
    else:
        content = {LZ4: lz4_encode, ZSTD: zstd_encode}[codec](records)
    return with_content(plain, codec, content)


def with_content(plain: bytes, codec: int, content: bytes) -> bytes:
    """The batch with other bytes in the place of its records."""
    head = bytearray(plain[:HEADER_BYTES])
    head[8:12] = struct.pack(">i", HEADER_BYTES - 12 + len(content))
    head[ATTRIBUTES_AT : ATTRIBUTES_AT + 2] = struct.pack(">h", codec)
    return sealed(bytes(head) + content)


def sealed(raw: bytes) -> bytes:
    return raw[:CRC_AT] + struct.pack(">I", calc_crc32c(raw[ATTRIBUTES_AT:])) + raw[ATTRIBUTES_AT:]


@asynccontextmanager
async def transaction(kafka: str, *, commit: bool) -> AsyncIterator[AIOKafkaProducer]:
    """A transaction of a producer of its own, ended as it is said."""
    producer = await _begun(kafka)
    try:
        yield producer
        await (producer.commit_transaction() if commit else producer.abort_transaction())
    finally:
        await producer.stop()


async def leave_open(kafka: str, topic: str, partition: int, value: bytes) -> int:
    """Write in a transaction that nobody ends before its timeout of a quarter of an hour; returns the offset."""
    producer = await _begun(kafka)
    sent = await producer.send_and_wait(topic, value, b"key", partition)
    await producer._sender.close()  # without `stop`, which would end the transaction
    await producer.client.close()
    producer._closed = True
    return int(sent.offset)


async def _begun(kafka: str) -> AIOKafkaProducer:
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka, transactional_id=f"foreign-{uuid.uuid4()}", transaction_timeout_ms=900_000
    )
    await producer.start()
    await producer.begin_transaction()
    return producer


async def add_nothing(producer: AIOKafkaProducer, topic: str, partition: int) -> None:
    """Let a partition take part in the transaction, so that it gets a marker, without a record."""
    where = TopicPartition(topic, partition)
    producer._txn_manager.maybe_add_partition_to_txn(where)
    producer._txn_manager.notify_task_waiter()
    async with asyncio.timeout(10):
        while where not in producer._txn_manager.txn_partitions:
            await asyncio.sleep(0.05)


async def append(kafka: str, topic: str, partition: int, raws: Sequence[bytes]) -> int:
    """Append batches to a partition, one after the other; returns the first offset of the last."""
    client = AIOKafkaClient(bootstrap_servers=kafka)
    await client.bootstrap()
    try:
        await client.set_topics([topic])
        leader = client.cluster.leader_for_partition(TopicPartition(topic, partition))
        for raw in raws:
            request = ProduceRequest(
                transactional_id=None, required_acks=-1, timeout=10_000, topics=[(topic, [(partition, raw)])]
            )
            response: Any = await client.send(leader, request)
            [(_, [(_, error, offset, *_)])] = response.topics
            if error:
                raise RefusedError(error)
    finally:
        await client.close()
    return int(offset)
