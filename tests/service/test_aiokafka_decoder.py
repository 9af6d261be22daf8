"""What consumers are given of a batch (service/aiokafka_decoder.py), and what this leans on in aiokafka.

When a digest differs after an upgrade: read what changed there, check `service/aiokafka_decoder.py` against it, run
this and tests/system/test_foreign_records.py, and only then write the new digest.
"""

import hashlib
import inspect
import resource
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.record import memory_records
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.structs import TopicPartition

from schemas.undecodable import Undecodable, content_of
from service import aiokafka_decoder
from service.aiokafka_decoder import FETCH_MAX_BYTES
from service.codecs import BATCH_MAX_BYTES
from tests.support.foreign import (
    ATTRIBUTES_AT,
    CODECS,
    GZIP,
    LZ4,
    SNAPPY,
    ZSTD,
    batch,
    compressed,
    sealed,
    with_content,
)

THEIRS = {each: each.__mro__[1] for each in (PartitionRecords, FetchResult)}
LEANED_ON: dict[Callable[..., Any], str] = {
    Fetcher._proc_fetch_request: "59bf948fff47eed5",
    Fetcher.fetched_records: "be4348896b9b66af",
    THEIRS[FetchResult].getall: "3e717e30de5068d5",
    THEIRS[FetchResult].getone: "3fc6f963223135d2",
    THEIRS[FetchResult]._update_position: "83fb1473bf10027b",
    THEIRS[PartitionRecords].__init__: "8ec1c2ae6ea1af87",
    THEIRS[PartitionRecords].__next__: "63ac34a08c309098",
    THEIRS[PartitionRecords]._unpack_records: "b803e6d46480732c",
    THEIRS[PartitionRecords]._contains_abort_marker: "17e9ad2322ef4e0a",
    memory_records._MemoryRecordsPy._cache_next: "7bb73a2eabca4ee3",
    _DefaultRecordBatchPy._maybe_uncompress: "c9d0dc2bed50cc86",
    _DefaultRecordBatchPy._read_msg: "0997ab7a58505c93",
    _DefaultRecordBatchPy.__next__: "d05784bae3cbcfb9",
}
NAME = b"a name that is no \xff\xfe text"
GOOD = (b"key", b"value", [(b"a name that is a good text", b"1")])
ODD = (b"key", b"odd", [(NAME, b"\xff"), (b"a name that is a good text", None)])
MARKER = (b"\x00\x00\x00\x01", b"\x00\x00\x00\x00\x00\x00", [])
CONTROL = 0x30
UNCOMMITTED, COMMITTED = 0, 1


@pytest.mark.parametrize(
    ("function", "expected"), LEANED_ON.items(), ids=lambda each: getattr(each, "__qualname__", "")
)
def test_nothing_that_we_lean_on_has_changed(function: Callable[..., Any], expected: str) -> None:
    assert expected == hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:16]


def fetched(raw: bytes, start: int, isolation: int) -> Any:
    where = TopicPartition("topic", 0)
    records = fetcher.MemoryRecords(raw)
    return fetcher.PartitionRecords(where, records, [], start, None, None, check_crcs=True, isolation_level=isolation)


def read(raw: bytes, start: int = 0, isolation: int = UNCOMMITTED) -> list[Any]:
    """What a consumer gets of a partition that has these batches: in one fetch, or in several."""
    found = []
    while raw:
        records = fetched(raw, start, isolation)
        found.extend(records)
        start = records.next_fetch_offset
        while raw and int.from_bytes(raw[:8], "big") + int.from_bytes(raw[23:27], "big") < start:
            raw = raw[12 + int.from_bytes(raw[8:12], "big") :]
    return found


def at(offset: int, raw: bytes) -> bytes:
    """The batch at another base offset, which its checksum does not cover."""
    return offset.to_bytes(8, "big") + raw[8:]


def numbered(raw: bytes, place: int, delta: int) -> bytes:
    """The batch, whose record after `place` says another offset."""
    changed = bytearray(raw)
    start = raw.index(b"\x06key\x0avalue", raw.index(b"\x06key\x0avalue") + 1 if place else 0)
    changed[start - 1] = delta * 2
    return sealed(bytes(changed))


def test_a_name_of_a_header_that_is_no_text_is_kept() -> None:
    found = read(batch(GOOD, ODD, GOOD) + at(3, batch(GOOD)))
    assert [0, 1, 2, 3] == [record.offset for record in found]
    assert [b"value", b"odd", b"value", b"value"] == [record.value for record in found]
    [(name, value), (_, empty)] = found[1].headers
    assert (NAME, b"\xff", None) == (name.encode("utf-8", "surrogateescape"), value, empty)
    assert read(batch(GOOD, ODD, GOOD), start=2)[0].offset == 2


@pytest.mark.parametrize("isolation", [UNCOMMITTED, COMMITTED])
def test_good_batches_are_as_aiokafka_reads_them(isolation: int) -> None:
    raw = batch(GOOD, GOOD) + at(2, batch(GOOD))
    theirs = memory_records.MemoryRecords(raw)
    expected = []
    while theirs.has_next():
        expected.extend((each.offset, each.key, each.value, tuple(each.headers)) for each in theirs.next_batch() or ())
    assert expected == [(each.offset, each.key, each.value, each.headers) for each in read(raw, isolation=isolation)]


@pytest.mark.parametrize("codec", CODECS)
def test_what_any_codec_compressed_is_read(codec: int) -> None:
    found = read(compressed(batch(GOOD, ODD), codec) + at(2, batch(GOOD)))
    assert [(0, b"value"), (1, b"odd"), (2, b"value")] == [(record.offset, record.value) for record in found]


@pytest.mark.parametrize("codec", CODECS)
def test_given_a_bomb_then_each_of_its_offsets_has_a_record_and_the_first_has_the_batch(codec: int) -> None:
    bomb = compressed(batch(GOOD, (None, bytes(BATCH_MAX_BYTES), []), GOOD), codec)
    raw = batch(GOOD) + at(1, bomb) + at(4, batch(GOOD))
    for start in range(5):
        found = [record for record in read(raw + at(5, batch(GOOD)), start) if record.offset < 4]
        expected = [(0, b"value"), (1, at(1, bomb)), (2, None), (3, None)][start:]
        assert expected == [(record.offset, content_of(record.value)) for record in found]
        assert all(isinstance(record.value, Undecodable) for record in found if record.offset)


@pytest.mark.slow
def test_given_a_bomb_then_memory_is_not_taken_for_it() -> None:
    """A gibibyte of zeros."""
    packer = zlib.compressobj(wbits=31)
    content = b"".join([packer.compress(bytes(1 << 20)) for _ in range(1024)]) + packer.flush()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    [record] = read(with_content(batch(GOOD), GZIP, content))
    assert isinstance(record.value, Undecodable)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_given_a_fetch_of_many_large_batches_then_it_ends_early_and_the_next_goes_on() -> None:
    each = compressed(batch((None, bytes(BATCH_MAX_BYTES // 2), [])), GZIP)
    raw = b"".join(at(offset, each) for offset in range(10))
    assert FETCH_MAX_BYTES == BATCH_MAX_BYTES
    assert [0, 1] == [record.offset for record in fetched(raw, 0, UNCOMMITTED)]
    assert [2, 3] == [record.offset for record in fetched(raw[2 * len(each) :], 2, UNCOMMITTED)]
    assert list(range(10)) == [record.offset for record in read(raw)]


@pytest.mark.parametrize(
    ("codec", "content"),
    [
        (GZIP, b"no gzip"),
        (GZIP, b""),
        (SNAPPY, b"\xff" * 20),
        (SNAPPY, b"\x82SNAPPY\x00" + struct.pack(">iii", 1, 1, -4)),
        (SNAPPY, b"\x82SNAPPY\x00" + struct.pack(">iii", 1, 1, 1 << 30)),
        (LZ4, b"no lz4"),
        (ZSTD, b"no zstd"),
        (5, b"no such codec"),
    ],
)
def test_what_can_not_be_decompressed_is_undecodable(codec: int, content: bytes) -> None:
    raw = with_content(batch(GOOD, GOOD), codec, content)
    found = read(raw + at(2, batch(GOOD)))
    assert [raw, None, b"value"] == [content_of(record.value) for record in found]
    assert [0, 1, 2] == [record.offset for record in found]


def test_what_is_before_the_undecodable_is_not_lost() -> None:
    """A name that is longer than its record, with the checksum of who wrote it."""
    raw = batch(GOOD, ODD)
    broken = sealed(raw.replace(bytes([len(NAME) * 2]) + NAME, bytes([len(NAME) * 2 + 2]) + NAME))
    assert raw != broken
    found = read(broken)
    assert [b"value", broken] == [content_of(record.value) for record in found]
    assert [0, 1] == [record.offset for record in found]
    assert isinstance(found[1].value, Undecodable)


@pytest.mark.parametrize("delta", [0, 5])
def test_given_records_that_say_other_offsets_than_theirs_then_every_offset_has_a_record(delta: int) -> None:
    """The broker takes an uncompressed batch whose records are numbered 0, 0 or 0, 5."""
    plain = (b"key", b"value", [])
    raw = numbered(batch(plain, plain), 1, delta)
    found = read(raw + at(2, batch(GOOD)))
    assert [0, 1, 2] == [record.offset for record in found]
    assert [b"value", raw, b"value"] == [content_of(record.value) for record in found]


def test_a_control_record_is_a_record_for_who_reads_uncommitted_and_none_for_others() -> None:
    control = bytearray(batch(MARKER))
    control[ATTRIBUTES_AT + 1] = CONTROL
    raw = batch(GOOD) + at(1, sealed(bytes(control))) + at(2, batch(GOOD))
    found = read(raw)
    assert [0, 1, 2] == [record.offset for record in found]
    assert MARKER[:2] == (found[1].key, found[1].value)
    assert [1, 2] == [record.offset for record in read(raw, start=1)]
    assert [0, 2] == [record.offset for record in read(raw, isolation=COMMITTED)]


async def test_given_a_wrong_checksum_then_the_partition_rests_says_so_and_is_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aiokafka_decoder, "CORRUPT_PAUSE_SECONDS", 0.1)
    where = TopicPartition("topic", 0)
    subscriptions = SubscriptionState()
    subscriptions.assign_from_user({where})
    assignment = subscriptions.subscription.assignment
    state = assignment.state_value(where)
    state.reset_to(0)
    wrong, good = at(1, batch(GOOD)[:-1] + b"\xee"), at(1, batch(GOOD))

    def fetch(raw: bytes) -> list[int]:
        records = fetched(raw, state.position, UNCOMMITTED)
        result = fetcher.FetchResult(where, assignment=assignment, partition_records=records, backoff=0)
        return [record.offset for record in result.getall()]

    assert [0] == fetch(batch(GOOD) + wrong)
    assert (1, True) == (state.position, state.paused)
    assert "topic/0 from offset 1" in aiokafka_decoder.corrupt[where]
    await state.resume_fut
    assert [1] == fetch(good)
    assert (2, False, {}) == (state.position, state.paused, aiokafka_decoder.corrupt)


def test_given_a_wrong_checksum_then_what_is_before_it_is_read_and_nothing_after() -> None:
    wrong = batch(GOOD)[:-1] + b"\xee"
    raw = batch(GOOD) + at(1, wrong) + at(2, batch(GOOD))
    records = fetched(raw, 0, UNCOMMITTED)
    assert [0] == [record.offset for record in records]
    assert (1, True) == (records.next_fetch_offset, "CRC" in records.corrupt)
