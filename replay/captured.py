"""A captured record, and its bytes inside a capture file: every byte, timestamp and place as the topic had it."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from schemas.records import header_name, header_name_bytes

LOG_APPEND_TIME: Final = 1
"""The timestamp type of what was stamped by the broker."""
RECORD_MAX_BYTES: Final = 64 * 1024 * 1024

_FIXED: Final = struct.Struct(">iqqbi")
_LENGTH: Final = struct.Struct(">i")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST_MS: Final = -62_135_596_800_000
_LATEST_MS: Final = 253_402_300_799_999
_ABSENT: Final = -1

CapturedHeaders = tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class Captured:
    """`timestamp_ms` is the record's own; `timestamp_type` is Kafka's: 0 the writer's clock, 1 the broker's."""

    partition: int
    offset: int
    timestamp_ms: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: CapturedHeaders = ()

    @property
    def recorded_at(self) -> datetime:
        """The nearest instant there is: writers may claim any."""
        return _EPOCH + timedelta(milliseconds=min(max(self.timestamp_ms, _EARLIEST_MS), _LATEST_MS))


class MalformedError(ValueError):
    """The bytes are no records."""


def encode_record(record: Captured) -> bytes:
    """Raises ValueError when the record is longer than a capture file carries."""
    fixed = _FIXED.pack(
        record.partition, record.offset, record.timestamp_ms, record.timestamp_type, len(record.headers)
    )
    parts = [fixed, *_packed(record.key), *_packed(record.value)]
    for name, value in record.headers:
        parts += [*_packed(header_name_bytes(name)), *_packed(value)]
    encoded = b"".join(parts)
    if len(encoded) > RECORD_MAX_BYTES:
        raise ValueError(f"a record of {len(encoded)} bytes is longer than the {RECORD_MAX_BYTES} that a file carries")
    return encoded


def _packed(content: bytes | None) -> tuple[bytes, bytes]:
    return (_LENGTH.pack(_ABSENT), b"") if content is None else (_LENGTH.pack(len(content)), content)


def decode_records(raw: bytes) -> Iterator[Captured]:
    """Raises MalformedError where the bytes are no record."""
    at = 0
    while at < len(raw):
        record, at = _decode(raw, at)
        yield record


def _decode(raw: bytes, at: int) -> tuple[Captured, int]:
    try:
        partition, offset, timestamp_ms, timestamp_type, count = _FIXED.unpack_from(raw, at)
        key, at = _content(raw, at + _FIXED.size)
        value, at = _content(raw, at)
        headers = []
        for _ in range(count):
            name, at = _content(raw, at)
            content, at = _content(raw, at)
            headers.append((header_name(name or b""), content))
    except struct.error as error:
        raise MalformedError(str(error)) from error
    return Captured(partition, offset, timestamp_ms, timestamp_type, key, value, tuple(headers)), at


def _content(raw: bytes, at: int) -> tuple[bytes | None, int]:
    (length,) = _LENGTH.unpack_from(raw, at)
    start = at + _LENGTH.size
    if length == _ABSENT:
        return None, start
    if not 0 <= length <= len(raw) - start:
        raise MalformedError("a length points beyond the block")
    return raw[start : start + length], start + length
