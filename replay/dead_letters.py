"""Dead letters, and what was done with them: as operators see them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import psycopg

from schemas.records import COMMAND_MAX_BYTES, NewerSchemaError, ParkedError, header_name, read_command
from schemas.words import ParkReason
from service.sql import statements

SCANNED_AT_ONCE: Final = 100
OPEN: Final = "open"
BEGUN: Final = "begun"

Connection = psycopg.AsyncConnection[tuple[Any, ...]]

SQL: Final = statements("replay")


class RefusedError(Exception):
    """What was asked is not to be done; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Handled:
    """What was done with a dead letter. `outcome` is what became of the record that was published for it."""

    state: str
    taken_by: str
    taken_at: datetime
    reason: str | None
    command_id: str | None
    partition: int | None
    offset: int | None
    outcome: str | None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead letter without its bytes; `key` is cut to a hundred."""

    partition: int
    offset: int
    reason: ParkReason
    recorded_at: datetime
    key: bytes | None
    value_bytes: int | None
    handled: Handled | None

    @property
    def state(self) -> str:
        return self.handled.state if self.handled else OPEN


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of a dead letter. A value may be absent."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class Filter:
    partition: int | None = None
    offset: int | None = None
    reason: ParkReason | None = None
    since: datetime | None = None
    handled_too: bool = False


async def find(connection: Connection, which: Filter, limit: int) -> tuple[list[DeadLetter], int]:
    """The oldest first, `limit` at most, and how many there are."""
    asked = {
        "partition": which.partition,
        "offset": which.offset,
        "reason": which.reason,
        "since": which.since,
        "all": which.handled_too,
        "limit": limit,
    }
    rows = await (await connection.execute(SQL["dead_letters"], asked)).fetchall()
    return [_letter(row) for row in rows], rows[0][-1] if rows else 0


def _letter(row: tuple[Any, ...]) -> DeadLetter:
    partition, offset, reason, recorded_at, key, value_bytes, state, *_ = row
    return DeadLetter(
        partition, offset, ParkReason(reason), recorded_at, key, value_bytes, _handled(*row[6:15]) if state else None
    )


def _handled(
    state: str,
    taken_by: str,
    taken_at: datetime,
    why: str | None,
    command_id: str | None,
    partition: int | None,
    offset: int | None,
    outcome: str | None,
    reason: str | None,
) -> Handled:
    became = " ".join(filter(None, (outcome, reason))) or None
    return Handled(state, taken_by, taken_at, why, command_id, partition, offset, became)


async def load_one(connection: Connection, partition: int, offset: int) -> DeadLetter:
    """Raises RefusedError when there is none."""
    found, _ = await find(connection, Filter(partition, offset, handled_too=True), 1)
    if not found:
        raise RefusedError(f"there is no dead letter at partition {partition}, offset {offset}")
    return found[0]


async def load_content(connection: Connection, letter: DeadLetter) -> Content:
    asked = {"partition": letter.partition, "offset": letter.offset}
    row = await (await connection.execute(SQL["dead_letter_bytes"], asked)).fetchone()
    if row is None:
        raise RefusedError("the dead letter is gone: the tables were made anew meanwhile")
    key, value, names, values = row
    return Content(key, value, [(header_name(name), content) for name, content in zip(names, values, strict=True)])


async def open_of_id(connection: Connection, subject_id: str) -> list[tuple[int, int]]:
    """Partition and offset of the open dead letters that are commands for an id, the oldest first."""
    return [
        (partition, offset)
        async for partition, offset, value in _open_values(connection)
        if _subject_id(value) == subject_id
    ]


async def _open_values(connection: Connection) -> AsyncIterator[tuple[int, int, bytes]]:
    """Open dead letters that are short enough to be commands, a hundred at a time."""
    after: dict[str, Any] = {"recorded_at": datetime.min.replace(tzinfo=UTC), "partition": -1, "offset": -1}
    while True:
        asked = after | {"longest": COMMAND_MAX_BYTES, "limit": SCANNED_AT_ONCE}
        rows = await (await connection.execute(SQL["open_dead_letters"], asked)).fetchall()
        for partition, offset, recorded_at, value in rows:
            after = {"recorded_at": recorded_at, "partition": partition, "offset": offset}
            yield partition, offset, value
        if len(rows) < SCANNED_AT_ONCE:
            return


def _subject_id(value: bytes) -> str | None:
    try:
        return read_command(value).subject_id
    except (ParkedError, NewerSchemaError):
        return None


async def discard(connection: Connection, letter: DeadLetter, by: str, reason: str) -> None:
    """Raises RefusedError when it was handled."""
    if letter.state == BEGUN:
        raise RefusedError("a retry of it was begun, and nobody knows yet what became of it: `retry` finds out")
    check_open(letter)
    asked = {"partition": letter.partition, "offset": letter.offset, "by": by, "reason": reason}
    try:
        await connection.execute(SQL["discard"], asked)
    except psycopg.errors.UniqueViolation:
        raise RefusedError("somebody else has just handled it") from None


def check_open(letter: DeadLetter) -> None:
    """Raises RefusedError for what was retried or discarded."""
    if letter.handled is not None and letter.state != BEGUN:
        at = letter.handled.taken_at.astimezone(UTC).isoformat(timespec="seconds")
        raise RefusedError(f"it was {letter.state} by {letter.handled.taken_by} at {at}: a dead letter is handled once")
