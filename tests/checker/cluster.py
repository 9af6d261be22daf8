"""One allocation: everything that was asked of it and everything that is known of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final, NamedTuple

from tests.checker.model import Order, State, Step
from tests.checker.store import Row, Store

STATEMENTS: Final = {
    "records": """
        SELECT r.id, r.partition, r."offset", r.trace, r.command_id, r.kind, r.verb, r.content, r.received_at,
            r.deadline, r.recorded_at,
            j.command_id, j.outcome, j.reason, j.status, j.version, j.sequence, j.available, j.held
        FROM record r LEFT JOIN journal j USING (partition, "offset")
        WHERE r.id IS NOT NULL ORDER BY r.id, r.partition, r."offset"
    """,
    "calls": """
        SELECT id, trace, kind, verb, start, "end", status, word, rejection, version, command_id, partition, "offset",
            content, answered_id
        FROM call ORDER BY id, start
    """,
    "events": 'SELECT id, partition, source, version, kind, status FROM event ORDER BY id, partition, "offset"',
    "rows": "SELECT id, kind, status, version, content FROM allocation ORDER BY id",
}
Position = tuple[int, int]


class Record(NamedTuple):
    id: str
    partition: int
    offset: int
    trace: str
    command_id: str
    kind: str
    verb: str
    content: str
    received_at: int
    deadline: int
    recorded_at: int
    journaled_id: str | None
    outcome: str | None
    reason: str | None
    status: str | None
    version: int | None
    sequence: int | None
    available: str | None
    held: str | None

    @property
    def position(self) -> Position:
        return self.partition, self.offset

    @property
    def order(self) -> Order:
        content = tuple(self.content.split("|")) if self.content else ()
        return Order(self.kind, self.verb, content, self.received_at, self.deadline, self.recorded_at)


class Call(NamedTuple):
    """`verb` is reserve, clear, release, read, or await: a GET at a position. `end` is when the answer came."""

    id: str
    trace: str
    kind: str
    verb: str
    start: float
    end: float | None
    status: int | None
    word: str | None
    rejection: str | None
    version: int | None
    command_id: str | None
    partition: int | None
    offset: int | None
    content: str
    answered_id: str | None

    @property
    def position(self) -> Position | None:
        return None if self.partition is None or self.offset is None else (self.partition, self.offset)

    @property
    def writes(self) -> bool:
        return self.verb in ("reserve", "clear", "release")

    @property
    def appended_by(self) -> float:
        """When its command was certainly in the log, as its answer proves; infinity when it proves nothing."""
        return self.end if self.end is not None and self.position is not None else inf

    @property
    def applied_by(self) -> float:
        """When its outcome was certainly in the tables."""
        return inf if self.status == 202 or self.word == "outcome_pending" else self.appended_by


@dataclass(frozen=True)
class Event:
    id: str
    partition: int
    source: int
    version: int
    kind: str
    status: str


@dataclass
class Cluster:
    """`steps`: what the model makes of each record, in log order; as long as `records` when the walk came through."""

    id: str
    records: Sequence[Record]
    calls: Sequence[Call]
    events: Sequence[Event]
    row: Row | None
    steps: list[Step] = field(default_factory=list)

    @property
    def final(self) -> State | None:
        return self.steps[-1].after if self.steps else None

    def by_trace(self) -> Mapping[str, Call]:
        return {call.trace: call for call in self.calls if call.writes}


def clusters(store: Store) -> Iterator[Cluster]:
    for identifier, found in store.clusters(**STATEMENTS):
        yield Cluster(
            identifier,
            [Record(*row) for row in found["records"]],
            [Call(*row) for row in found["calls"]],
            [Event(*row) for row in found["events"]],
            next(iter(found["rows"]), None),
        )
