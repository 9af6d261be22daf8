"""What is read at once for publishing is bounded, and nothing is passed over by that (decision 16)."""

import hashlib
from typing import Any

import pytest

from processor.apply import Applier
from processor.domain.batch import Record
from processor.relay.outbox import (
    COPY_MAX_BYTES,
    DEAD_LETTERS_BYTES,
    RECORDS_AT_ONCE,
    Outbox,
    dead_letter_copy,
    dead_letter_stub,
    dead_letters_of,
    longest_copy,
)
from schemas.records import header_name_bytes
from schemas.topics import Topics
from service.postgres import Connection
from tests.support.batches import Log
from tests.support.commands import NOON

TOPICS = Topics()


async def all_of(box: Outbox, connection: Connection) -> list[list[dict[str, Any]]]:
    """What each reading gives, until there is nothing more."""
    box.seen = dict.fromkeys(range(4), -1)
    found = []
    while True:
        news = await box.load(connection)
        box.seen.update(news.seen)
        found.append(news.records)
        if not news.is_full:
            return found


def published(record: Record) -> list[dict[str, Any]]:
    """The two forms that a dead letter of the record may have."""
    names = [header_name_bytes(name) for name, _ in record.headers]
    contents = [content for _, content in record.headers]
    place = (TOPICS, record.partition, record.offset, "not_a_command", record.key, record.value)
    return [dead_letter_copy(*place, names, contents), dead_letter_stub(*place)]


async def test_large_values_are_read_as_size_and_hash_and_few_at_once(
    mine: Applier, connection: Connection, log: Log
) -> None:
    records = [log.append_raw(n % 2, b"key", bytes([n]) * 6_000_000) for n in range(8)]
    for each in records:
        await mine([each])
    parts = await all_of(dead_letters_of(TOPICS), connection)
    assert [3, 3, 2] == [len(part) for part in parts]
    assert {0, 1} == {record["partition"] for record in parts[0]}
    found = [record for part in parts for record in part]
    assert sorted(map(str, (published(each)[1] for each in records))) == sorted(map(str, found))
    assert hashlib.sha256(records[0].value or b"").hexdigest().encode() in dict(found[0]["headers"]).values()


async def test_copies_are_read_up_to_a_bound(mine: Applier, connection: Connection, log: Log) -> None:
    records = [log.append_raw(0, b"key", bytes(COPY_MAX_BYTES - 100)) for _ in range(30)]
    for each in records:
        await mine([each])
    parts = await all_of(dead_letters_of(TOPICS), connection)
    assert [22, 8] == [len(part) for part in parts]
    assert sum(len(record["value"]) for record in parts[0]) < DEAD_LETTERS_BYTES + COPY_MAX_BYTES
    assert [published(each)[0] for each in records] == [record for part in parts for record in part]


@pytest.mark.long
async def test_large_lists_of_headers_are_measured_a_few_at_once(mine: Applier, connection: Connection) -> None:
    headers: list[tuple[str, bytes | None]] = [(f"{n:06d} a name of a header", b"%d" % n) for n in range(100_000)]
    records = [Record(0, offset, NOON, b"key", b"value", headers) for offset in range(4)]
    for each in records:
        await mine([each])
    parts = await all_of(dead_letters_of(TOPICS), connection)
    assert len(parts) > 1
    assert [published(each)[1] for each in records] == [record for part in parts for record in part]


async def test_many_small_ones_are_read_in_parts_and_in_order(mine: Applier, connection: Connection, log: Log) -> None:
    records = [log.append_raw(0, b"key", b"%d" % n) for n in range(RECORDS_AT_ONCE + 2)]
    await mine(records)
    parts = await all_of(dead_letters_of(TOPICS), connection)
    assert [RECORDS_AT_ONCE, 2] == [len(part) for part in parts]
    assert [published(each)[0] for each in records] == [record for part in parts for record in part]


async def test_the_topic_s_own_limit_counts_where_it_is_less(mine: Applier, connection: Connection, log: Log) -> None:
    small, large = log.append_raw(0, b"key", bytes(5_000)), log.append_raw(0, b"key", bytes(20_000))
    await mine([small, large])
    [found] = await all_of(dead_letters_of(TOPICS, longest_copy(16_000)), connection)
    assert [published(small)[0], published(large)[1]] == found
