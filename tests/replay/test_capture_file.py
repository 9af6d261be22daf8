"""The capture file: what goes in comes out, and whatever happens to it on the way is seen."""

import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.blocks import BLOCK_BYTES
from replay.capture_file import (
    MAGIC,
    CaptureFileError,
    CaptureReader,
    CaptureWriter,
    Source,
    reading,
    writing,
)
from replay.captured import Captured
from schemas.records import header_name

SOURCE = Source(
    cluster_id="cluster",
    topic="allocation-commands",
    holds="commands",
    partitions=8,
    captured_at=datetime(2026, 11, 21, 12, tzinfo=UTC),
    ranges={0: (0, 5), 7: (2, 9)},
)
NAMES = st.text(max_size=20) | st.binary(max_size=20).map(header_name)
BYTES = st.none() | st.binary(max_size=200)
RECORDS = st.builds(
    Captured,
    partition=st.integers(0, 2**31 - 1),
    offset=st.integers(0, 2**63 - 1),
    timestamp_ms=st.integers(-1, 2**63 - 1),
    timestamp_type=st.integers(0, 1),
    key=BYTES,
    value=BYTES,
    headers=st.lists(st.tuples(NAMES, BYTES), max_size=4).map(tuple),
)
ONE = Captured(3, 7, 1_795_000_000_123, 1, b"\x00key", b"\xff" * 50, (("h", b"\x01"), ("absent", None), ("", b"")))


def written(records: list[Captured]) -> bytes:
    file = io.BytesIO()
    writer = CaptureWriter(file, SOURCE)
    for record in records:
        writer.add(record)
    writer.finish()
    return file.getvalue()


def read(content: bytes) -> tuple[Source, list[Captured]]:
    reader = CaptureReader(io.BytesIO(content), "file")
    return reader.source, list(reader)


@pytest.mark.slow
@given(st.lists(RECORDS, max_size=20))
def test_every_byte_comes_back(records: list[Captured]) -> None:
    assert (SOURCE, records) == read(written(records))


def test_records_over_many_blocks_come_back_and_one_block_is_held_at_a_time() -> None:
    records = [Captured(0, n, n, 1, b"k", bytes([n % 256]) * 100_000) for n in range(50)]
    content = written(records)
    assert content.count(b"R\x00") >= 50 * 100_000 // (2 * BLOCK_BYTES)
    assert (SOURCE, records) == read(content)


@pytest.mark.slow
@given(st.data())
@settings(max_examples=300)
def test_a_flipped_bit_is_always_seen(data: st.DataObject) -> None:
    content = bytearray(written([ONE] * data.draw(st.integers(0, 3))))
    bit = data.draw(st.integers(0, len(content) * 8 - 1))
    content[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CaptureFileError):
        read(bytes(content))


def test_every_truncation_is_seen() -> None:
    content = written([ONE, ONE])
    for length in range(len(content)):
        with pytest.raises(CaptureFileError):
            read(content[:length])


@given(st.binary(min_size=1, max_size=100))
def test_what_is_added_behind_the_end_is_seen(more: bytes) -> None:
    with pytest.raises(CaptureFileError, match="goes on behind its end"):
        read(written([ONE]) + more)


def test_blocks_that_changed_places_are_seen() -> None:
    first, second = (Captured(0, n, n, 1, None, bytes([n]) * BLOCK_BYTES) for n in range(2))
    content = written([first, second])
    starts = [at for at in range(len(content)) if content.startswith(b"R", at) and at > len(MAGIC) + 1]
    blocks = _blocks(content)
    assert len(starts) >= 2
    swapped = (
        content[: blocks[1][0]] + content[slice(*blocks[2])] + content[slice(*blocks[1])] + content[blocks[3][0] :]
    )
    assert len(swapped) == len(content)
    with pytest.raises(CaptureFileError, match="is damaged, after 0 good records"):
        read(swapped)


def _blocks(content: bytes) -> list[tuple[int, int]]:
    found, at = [], len(MAGIC) + 1
    while at < len(content):
        end = at + 9 + int.from_bytes(content[at + 1 : at + 5], "big") + 32
        found.append((at, end))
        at = end
    return found


def test_a_block_that_claims_to_be_huge_is_not_believed() -> None:
    content = written([ONE])
    with pytest.raises(CaptureFileError, match="is damaged"):
        read(content[:10] + b"\xff\xff\xff\xff" + content[14:])


@pytest.mark.parametrize("content", [b"", b"{}", b"PK\x03\x04" * 10, MAGIC])
def test_another_file_is_no_capture(content: bytes) -> None:
    with pytest.raises(CaptureFileError):
        read(content)


def test_another_version_is_named() -> None:
    with pytest.raises(CaptureFileError, match="another version than 1"):
        read(MAGIC + b"\x02" + written([])[len(MAGIC) + 1 :])


def test_a_file_has_its_name_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with writing(path, SOURCE) as writer:
        writer.add(ONE)
        assert not path.exists()
    with reading(path) as reader:
        assert [ONE] == list(reader)
    assert [path] == list(tmp_path.iterdir())


def test_what_was_interrupted_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> None:
        with writing(tmp_path / "file", SOURCE) as writer:
            writer.add(ONE)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [] == list(tmp_path.iterdir())
