"""Batches that aiokafka can not decode (service/batches.py), and what this leans on in aiokafka.

When a digest differs after an upgrade: read what changed there, check `service/batches.py` against it, run this and
tests/system/test_foreign_records.py, and only then write the new digest.
"""

import hashlib
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import Fetcher, PartitionRecords
from aiokafka.record import memory_records
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.structs import TopicPartition

from service.batches import Unreadable
from tests.support.foreign import batch, sealed, snappy

LEANED_ON: dict[Callable[..., Any], str] = {
    Fetcher._proc_fetch_request: "59bf948fff47eed5",
    PartitionRecords._unpack_records: "b803e6d46480732c",
    PartitionRecords._contains_abort_marker: "17e9ad2322ef4e0a",
    memory_records._MemoryRecordsPy._cache_next: "7bb73a2eabca4ee3",
    _DefaultRecordBatchPy._maybe_uncompress: "c9d0dc2bed50cc86",
    _DefaultRecordBatchPy._read_msg: "0997ab7a58505c93",
    _DefaultRecordBatchPy.__next__: "d05784bae3cbcfb9",
}
NAME = b"a name that is no \xff\xfe text"
GOOD = (b"key", b"value", [(b"a name that is a good text", b"1")])
ODD = (b"key", b"odd", [(NAME, b"\xff"), (b"a name that is a good text", None)])


@pytest.mark.parametrize(
    ("function", "expected"), LEANED_ON.items(), ids=lambda each: getattr(each, "__qualname__", "")
)
def test_nothing_that_we_lean_on_has_changed(function: Callable[..., Any], expected: str) -> None:
    assert expected == hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:16]


def read(raw: bytes, start: int = 0, isolation: int = 0) -> list[Any]:
    """What a consumer gets of a fetched partition."""
    where = TopicPartition("topic", 0)
    records = fetcher.MemoryRecords(raw)
    return list(PartitionRecords(where, records, [], start, None, None, check_crcs=True, isolation_level=isolation))


def at(offset: int, raw: bytes) -> bytes:
    """The batch at another base offset, which its checksum does not cover."""
    return offset.to_bytes(8, "big") + raw[8:]


def test_a_name_of_a_header_that_is_no_text_is_kept() -> None:
    found = read(batch(GOOD, ODD, GOOD) + at(3, batch(GOOD)))
    assert [0, 1, 2, 3] == [record.offset for record in found]
    assert [b"value", b"odd", b"value", b"value"] == [record.value for record in found]
    [(name, value), (_, empty)] = found[1].headers
    assert (NAME, b"\xff", None) == (name.encode("utf-8", "surrogateescape"), value, empty)
    assert read(batch(GOOD, ODD, GOOD), start=2)[0].offset == 2


@pytest.mark.parametrize("isolation", [0, 1])
def test_good_batches_are_as_aiokafka_reads_them(isolation: int) -> None:
    raw = batch(GOOD, GOOD) + at(2, batch(GOOD))
    theirs = memory_records.MemoryRecords(raw)
    expected = []
    while theirs.has_next():
        expected.extend((each.offset, each.key, each.value, tuple(each.headers)) for each in theirs.next_batch() or ())
    assert expected == [(each.offset, each.key, each.value, each.headers) for each in read(raw, isolation=isolation)]


def test_a_codec_that_is_not_installed_is_one_unreadable_record_for_the_batch() -> None:
    found = read(batch(GOOD) + at(1, snappy(batch(GOOD, GOOD))) + at(3, batch(GOOD)))
    assert [0, 1, 3] == [record.offset for record in found]
    assert isinstance(found[1].value, Unreadable)
    assert "UnsupportedCodecError" in found[1].value.reason
    assert "snappy" in found[1].value.reason


def test_what_is_before_the_unreadable_is_not_lost() -> None:
    """A name that is longer than its record, with the checksum of who wrote it."""
    raw = batch(GOOD, ODD)
    broken = sealed(raw.replace(bytes([len(NAME) * 2]) + NAME, bytes([len(NAME) * 2 + 2]) + NAME))
    assert raw != broken
    found = read(broken)
    assert [b"value", b""] == [record.value for record in found]
    assert [0, 1] == [record.offset for record in found]
    assert isinstance(found[1].value, Unreadable)
