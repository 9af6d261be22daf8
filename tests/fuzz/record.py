"""What stands in the commands topic: schemas/records.py, on the way into the tables.

Whatever key, value, headers and partition are: NewerSchemaError, or one journal row that Postgres can store. A dead
letter keeps every byte. What is a command says the same when it is written again, and counts on one partition only.

The first byte is the partition; the rest is divided by FF FE into value, key, and names and values of headers.
"""

from datetime import UTC, datetime

from schemas.records import (
    NewerSchemaError,
    ParkedError,
    decode_command,
    encode_command,
    is_traceparent,
    key_of,
    position_of,
)
from schemas.topics import partition_of
from schemas.words import Outcome
from tests.fuzz.journey import through_the_batch

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
DIVIDER = b"\xff\xfe"
HOME = 0x80
"""In the first byte: on the partition of the key, so that what is otherwise good is good."""


def check(data: bytes) -> None:
    value, key, *rest = [*(part or None for part in data[1:].split(DIVIDER)), None]
    pairs = zip(rest[::2], rest[1::2], strict=False)
    headers = [((name or b"").decode("utf-8", "surrogateescape"), content) for name, content in pairs]
    first = data[0] if data else 0
    partition = partition_of(key or b"", 8) if first & HOME else first % 8
    try:
        row = through_the_batch(key, value, headers, partition, NOON)  # type: ignore[arg-type]
    except NewerSchemaError:
        return
    assert row["traceparent"] is None or is_traceparent(row["traceparent"])
    position = position_of(headers, "ce_id")
    assert position is None or position == position.parse(str(position))
    if row["outcome"] != Outcome.PARKED:
        _check_command(key, value, partition)


def _check_command(key: bytes | None, value: bytes | None, partition: int) -> None:
    command = decode_command(key, value, partition, 8)
    assert key == key_of(command.allocation_id)
    assert partition == partition_of(key, 8)
    assert command == decode_command(key, encode_command(command), partition, 8)
    try:
        decode_command(key, value, (partition + 1) % 8, 8)
    except ParkedError:
        return
    raise AssertionError("a command counts on another partition than its key's")
