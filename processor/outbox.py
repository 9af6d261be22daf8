"""What the relay publishes: the journal's events and the dead letters, each read on from where publishing stopped."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaConsumer

from schemas.records import Position, dead_letter_headers, encode_event, event_headers, header_name, key_of, sendable
from schemas.topics import Topics
from schemas.words import ParkReason
from service.kafka import last_sources
from service.postgres import Connection
from service.sql import statements

_SQL: Final = statements("processor")


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
    seen: dict[int, int] = field(default_factory=dict)

    async def resume(self, committed: AIOKafkaConsumer, partitions: Iterable[int]) -> "Outbox":
        """Set `seen` from the last committed record of ours in each partition; -1 where there is none."""
        self.seen = dict.fromkeys(partitions, -1)
        for partition, source in (await last_sources(committed, self.topic, self.position_header, self.seen)).items():
            self.seen[partition] = source.offset
        return self

    async def load(self, connection: Connection, limit: int) -> News:
        """At most `limit` records of each partition, in journal order."""
        asked = {"partitions": list(self.seen), "afters": list(self.seen.values()), "limit": limit}
        rows = await (await connection.execute(_SQL[self.statement], asked)).fetchall()
        found: dict[int, list[dict[str, Any]]] = {}
        seen: dict[int, int] = {}
        for partition, next_offset, offset, *columns in rows:
            seen.setdefault(partition, next_offset - 1)
            if offset is not None:
                found.setdefault(partition, []).append(self.render(partition, (offset, *columns)))
                if len(found[partition]) == limit:
                    seen[partition] = offset
        is_full = any(len(records) == limit for records in found.values())
        return News([record for records in found.values() for record in records], seen, is_full)


def outboxes(topics: Topics) -> list[Outbox]:
    """The events first, then the dead letters."""

    def event(partition: int, row: tuple[Any, ...]) -> dict[str, Any]:
        offset, document, facts, digest = row
        return {
            "topic": topics.events,
            "partition": partition,
            "key": key_of(document["allocationId"]),
            "value": encode_event(document, facts),
            "headers": event_headers(document, Position(topics.commands, partition, offset), digest),
        }

    def dead_letter(partition: int, row: tuple[Any, ...]) -> dict[str, Any]:
        offset, key, value, names, values, reason = row
        headers = [(header_name(name), content) for name, content in zip(names, values, strict=True)]
        source = Position(topics.commands, partition, offset)
        return {
            "topic": topics.dead_letters,
            "partition": partition,
            "key": key,
            "value": value,
            "headers": dead_letter_headers(sendable(headers), source, ParkReason(reason)),
        }

    return [
        Outbox(topics.events, "ce_id", "outbox_events", event),
        Outbox(topics.dead_letters, "dead-letter-position", "outbox_dead_letters", dead_letter),
    ]


async def load_watermarks(connection: Connection) -> Mapping[int, int]:
    """`next_offset` by partition."""
    cursor = await connection.execute(_SQL["watermarks"])
    return {row[0]: row[1] for row in await cursor.fetchall()}
