"""The records to publish: the journal's events and the dead letters, each from where publishing stopped.

A dead letter is published as a copy, or as a stub when the topic may not take so large a record: its key if that is
short, no value, and headers with the place, the reason, and the value's size and SHA-256. The bytes are in the table.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaConsumer

from schemas.records import (
    Position,
    dead_letter_headers,
    encode_event,
    event_headers,
    header_name,
    key_of,
    sendable,
    stub_headers,
)
from schemas.topics import Topics
from schemas.words import ParkReason
from service.kafka import Published, last_published
from service.postgres import Connection
from service.sql import statements

RECORDS_AT_ONCE: Final = 500
"""Of each partition."""
DEAD_LETTERS_BYTES: Final = 16 * 1024 * 1024
"""Of all partitions, read at once; the one that reaches it is the last."""
STORED_HEADERS_BYTES: Final = 1024 * 1024
"""Of each partition's dead letters, compressed as Postgres has them, whose headers are measured at once."""
COPY_MAX_BYTES: Final = 768 * 1024
"""Key, value and headers of a dead letter that is copied. Brokers take a mebibyte by default; a constant below it keeps
what is published independent of a setting, as far as the topic's own, which may be less, allows it."""
BATCH_OVERHEAD_BYTES: Final = 4096
"""What the topic's limit counts besides: a batch's header, and the headers that are ours."""
STUB_KEY_MAX_BYTES: Final = 1024

_SQL: Final = statements("processor.postgres")


@dataclass(frozen=True)
class News:
    """Records to send (arguments of the producer's `send`), the offsets seen when all of them are published, and
    whether there may be more already.
    """

    records: list[dict[str, Any]]
    seen: dict[int, int]
    is_full: bool = False


@dataclass
class Outbox:
    """One topic to fill. `seen`: by partition, the offset up to which the commands' news is published."""

    topic: str
    position_header: str
    statement: str
    render: Callable[[int, tuple[Any, ...]], dict[str, Any]]
    limit: int
    bounds: dict[str, int] = field(default_factory=dict)
    """What the statement asks for besides `seen` and `limit`."""
    seen: dict[int, int] = field(default_factory=dict)

    async def resume(self, committed: AIOKafkaConsumer, partitions: Iterable[int]) -> dict[int, Published]:
        """Set `seen` from the last committed record of ours in each partition, which it returns; -1 without one."""
        self.seen = dict.fromkeys(partitions, -1)
        published = await last_published(committed, self.topic, self.position_header, self.seen)
        self.seen |= {partition: each.source.offset for partition, each in published.items()}
        return published

    async def load(self, connection: Connection) -> News:
        """At most `limit` records of each partition, in journal order, and as many as the bounds allow."""
        asked = {"partitions": list(self.seen), "afters": list(self.seen.values()), "limit": self.limit}
        rows = await (await connection.execute(_SQL[self.statement], asked | self.bounds)).fetchall()
        found: dict[int, list[dict[str, Any]]] = {}
        seen: dict[int, int] = {}
        ends: dict[int, int] = {}
        cut: set[int] = set()
        for partition, next_offset, is_within, offset, *columns in rows:
            if offset is None:
                seen[partition] = next_offset - 1
            elif not is_within:
                cut.add(partition)
            else:
                records = found.setdefault(partition, [])
                records.append(self.render(partition, (offset, *columns)))
                if len(records) == self.limit:
                    cut.add(partition)
                seen[partition] = offset
                ends[partition] = next_offset - 1
        seen |= {partition: end for partition, end in ends.items() if partition not in cut}
        return News([record for records in found.values() for record in records], seen, bool(cut))


def events_of(topics: Topics) -> Outbox:
    def render(partition: int, row: tuple[Any, ...]) -> dict[str, Any]:
        return event_record(topics, partition, *row)

    return Outbox(topics.events, "ce_id", "outbox_events", render, RECORDS_AT_ONCE)


def dead_letters_of(topics: Topics, longest: int = COPY_MAX_BYTES) -> Outbox:
    """`longest`: bytes of key, value and headers of what is copied."""

    def render(partition: int, row: tuple[Any, ...]) -> dict[str, Any]:
        offset, reason, is_copied, key, value, names, contents, value_bytes, digest = row
        if is_copied:
            return dead_letter_copy(topics, partition, offset, reason, key, value, names, contents)
        return _stub(topics, partition, offset, reason, key, value_bytes, digest)

    bounds = {
        "longest": longest,
        "longest_key": STUB_KEY_MAX_BYTES,
        "budget": DEAD_LETTERS_BYTES,
        "stored": STORED_HEADERS_BYTES,
    }
    return Outbox(topics.dead_letters, "dead-letter-position", "outbox_dead_letters", render, RECORDS_AT_ONCE, bounds)


def longest_copy(topic_max_bytes: int) -> int:
    """How large a copied dead letter may be where the topic takes batches of so many bytes (`max.message.bytes`)."""
    return min(COPY_MAX_BYTES, topic_max_bytes - BATCH_OVERHEAD_BYTES)


def event_record(
    topics: Topics,
    partition: int,
    offset: int,
    subject_id: str,
    document: dict[str, Any],
    facts: dict[str, Any] | None,
    digest: bytes,
) -> dict[str, Any]:
    """The record that is published for a journal row."""
    return {
        "topic": topics.events,
        "partition": partition,
        "key": key_of(subject_id),
        "value": encode_event(document, facts or {}),
        "headers": event_headers(document, subject_id, Position(topics.commands, partition, offset), digest),
    }


def dead_letter_copy(
    topics: Topics,
    partition: int,
    offset: int,
    reason: str,
    key: bytes | None,
    value: bytes | None,
    names: Iterable[bytes],
    contents: Iterable[bytes | None],
) -> dict[str, Any]:
    """The record that is published for a dead letter."""
    headers = [(header_name(name), content) for name, content in zip(names, contents, strict=True)]
    source = Position(topics.commands, partition, offset)
    return {
        "topic": topics.dead_letters,
        "partition": partition,
        "key": key,
        "value": value,
        "headers": dead_letter_headers(sendable(headers), source, ParkReason(reason)),
    }


def dead_letter_stub(
    topics: Topics, partition: int, offset: int, reason: str, key: bytes | None, value: bytes | None
) -> dict[str, Any]:
    """The record that is published in place of a dead letter that may be too large for the topic."""
    short = key if key is not None and len(key) <= STUB_KEY_MAX_BYTES else None
    if value is None:
        return _stub(topics, partition, offset, reason, short, None, None)
    return _stub(topics, partition, offset, reason, short, len(value), hashlib.sha256(value).digest())


def _stub(
    topics: Topics,
    partition: int,
    offset: int,
    reason: str,
    key: bytes | None,
    value_bytes: int | None,
    digest: bytes | None,
) -> dict[str, Any]:
    source = Position(topics.commands, partition, offset)
    return {
        "topic": topics.dead_letters,
        "partition": partition,
        "key": key,
        "value": None,
        "headers": stub_headers(source, ParkReason(reason), value_bytes, digest),
    }


async def load_watermarks(connection: Connection) -> Mapping[int, int]:
    """`next_offset` by partition."""
    cursor = await connection.execute(_SQL["watermarks"])
    return {row[0]: row[1] for row in await cursor.fetchall()}
