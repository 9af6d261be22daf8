"""A batch of bytes in Kafka's format, as a fetch brings it: service/aiokafka_decoder.py around aiokafka's decoder.

Whatever the broker takes, which is a right checksum and records whose lengths and offsets are right: the same records
as aiokafka's decoder in Python finds, in order, with every byte of the headers, and each of them goes through the
processor. What the broker refuses is not tried: aiokafka's decoder in C reads beyond its buffer there, and dies.
"""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.structs import TopicPartition

from schemas.records import NewerSchemaError
from schemas.undecodable import Undecodable
from service.aiokafka_decoder import CODEC_AT, CODEC_MASK, Patient
from service.codecs import decompress
from tests.fuzz.journey import through_the_batch
from tests.support.foreign import ATTRIBUTES_AT, HEADER_BYTES, batch, sealed

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
LAST_DELTA_AT = 23
FRAME = batch((None, None, []))[:HEADER_BYTES]


def check(data: bytes) -> None:
    raw = framed(data)
    try:
        if codec := raw[CODEC_AT] & CODEC_MASK:  # aiokafka's are content with blocks that are cut off
            decompress(codec, raw[HEADER_BYTES:])
        expected = list(Patient(raw))
    except Exception:  # noqa: BLE001 - then the broker would not have it
        return
    if [record.offset for record in expected] != list(range(len(expected))):
        return
    found = [record for record in _fetched(raw) if not isinstance(record.value, Undecodable)]
    assert [_said(record) for record in expected] == [_said(record) for record in found]
    for record in found:
        with suppress(NewerSchemaError):
            through_the_batch(record.key, record.value, list(record.headers), 0, NOON)


def framed(data: bytes) -> bytes:
    """The first two bytes are the batch's attributes, the next two the number of its records and so of its offsets."""
    attributes, count, records = data[:2].ljust(2, b"\0"), data[2:4].ljust(2, b"\0"), data[4:]
    head = bytearray(FRAME)
    head[8:12] = (HEADER_BYTES - 12 + len(records)).to_bytes(4, "big")
    head[ATTRIBUTES_AT : ATTRIBUTES_AT + 2] = bytes([0, attributes[1] & 0x0F])
    head[HEADER_BYTES - 2 : HEADER_BYTES] = count
    head[LAST_DELTA_AT : LAST_DELTA_AT + 4] = (int.from_bytes(count, "big") - 1).to_bytes(4, "big", signed=True)
    return sealed(bytes(head) + records)


def _fetched(raw: bytes) -> list[Any]:
    records = fetcher.MemoryRecords(raw)
    where = TopicPartition("topic", 0)
    return list(PartitionRecords(where, records, [], -(2**62), None, None, check_crcs=True, isolation_level=0))


def _said(record: Any) -> tuple[Any, ...]:
    return record.offset, record.key, record.value, tuple(record.headers)
