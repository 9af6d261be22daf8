"""A foreign client of Kafka: writes batches of bytes that our own producers never would."""

import gzip
import struct
from collections.abc import Sequence
from typing import Any

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


async def append(kafka: str, topic: str, partition: int, raws: Sequence[bytes]) -> int:
    """Append batches to a partition, one after the other; gives the first offset of the last."""
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
