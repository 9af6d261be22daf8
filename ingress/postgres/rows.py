"""Rows as the ingress reads them: outcomes, and what they are about by its id."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from ingress.postgres.coalesce import Coalesced
from ingress.postgres.database import Connection, Database
from schemas.commands import Edition
from schemas.notifications import CONNECTION_CONTENT, CONTENT
from schemas.words import Kind, Outcome, Subject
from service.sql import statements

COALESCED_MAX: Final = 500
_SQL: Final = statements("ingress.postgres")
_SUBJECTS: Final = frozenset(Subject)


class Content(NamedTuple):
    """What never changes about an allocation, and the edition that it is answered in."""

    currency: str
    quantity: str
    client_id: str
    connection_id: str
    partners_connection_id: str
    partner_allocation_id: str
    partner_client_id: str | None
    edition: Edition


class ConnectionContent(NamedTuple):
    """What never changes about a connection."""

    client_id: str
    partners_client_id: str
    partners_connection_id: str


class OutcomeRow(NamedTuple):
    """A journal row: the outcome of one command. `content` is None if there is no allocation or connection."""

    command_id: str | None
    subject_id: str | None
    kind: Kind | Subject | None
    verb: str | None
    outcome: Outcome
    reason: str | None
    status_after: str | None
    version_after: int | None
    dead_letter: bytes | None
    content: Content | ConnectionContent | None

    def is_of(self, command_id: str) -> bool:
        """Whether this row belongs to that command; a parked record is recognised by its bytes."""
        return self.command_id == command_id or command_id.encode() in (self.dead_letter or b"")


class AllocationRow(NamedTuple):
    """An allocation or a deallocation as it stands now."""

    allocation_id: str
    kind: Kind
    status: str
    version: int
    content: Content
    rejection_reason: str | None
    release_cause: str | None
    client_external_id: str | None
    initiated_by: str | None
    notes: str | None
    evaluation_id: str | None
    pending_approval_id: str | None
    policy_result: str | None
    decided_by: str | None
    created_at: datetime
    updated_at: datetime


class ConnectionRow(NamedTuple):
    """A connection as it stands now."""

    connection_id: str
    status: str
    content: ConnectionContent


class AdjustmentRow(NamedTuple):
    """An adjustment that was booked. `entries`: currency and signed base units, by currency."""

    adjustment_id: str
    connection_id: str
    reason: str
    entries: Sequence[tuple[str, str]]


class Rows:
    """Coalesces the reads of concurrent requests. Raises UnavailableError if Postgres is unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.allocation: Coalesced[str, AllocationRow | None] = Coalesced(self._allocations, COALESCED_MAX)

    async def _allocations(self, ids: Sequence[str]) -> list[AllocationRow | None]:
        async def query(connection: Connection) -> dict[str, AllocationRow]:
            cursor = await connection.execute(_SQL["allocations_by_id"], {"allocation_ids": list(set(ids))})
            return {row["allocation_id"]: allocation_row(row) for (row,) in await cursor.fetchall()}

        found = await self._database.run(query)
        return [found.get(each) for each in ids]

    async def connection(self, connection_id: str) -> ConnectionRow | None:
        async def query(connection: Connection) -> ConnectionRow | None:
            cursor = await connection.execute(_SQL["connection_by_id"], {"connection_id": connection_id})
            row = await cursor.fetchone()
            return ConnectionRow(connection_id, row[0]["status"], _connection_content(row[0])) if row else None

        return await self._database.run(query)

    async def adjustment(self, adjustment_id: str) -> AdjustmentRow | None:
        async def query(connection: Connection) -> AdjustmentRow | None:
            cursor = await connection.execute(_SQL["adjustment_by_id"], {"adjustment_id": adjustment_id})
            row = await cursor.fetchone()
            return _adjustment_row(row[0]) if row else None

        return await self._database.run(query)


def outcome_row(row: Mapping[str, Any], dead_letter: bytes | None = None) -> OutcomeRow:
    """From a journal row by column names, with its allocation's row as `content`.

    Raises ValueError, TypeError or KeyError for anything else: it may come with a notification.
    """
    return OutcomeRow(
        command_id=row["command_id"],
        subject_id=row["subject_id"],
        kind=_kind(row["kind"]) if row["kind"] else None,
        verb=row["verb"],
        outcome=Outcome(row["outcome"]),
        reason=row["reason"],
        status_after=row["status_after"],
        version_after=row["version_after"],
        dead_letter=dead_letter,
        content=_content_of(row["kind"], row["content"]) if row["content"] is not None else None,
    )


def _kind(word: str) -> Kind | Subject:
    return Subject(word) if word in _SUBJECTS else Kind(word)


def _content_of(kind: str, row: Mapping[str, Any]) -> Content | ConnectionContent:
    return _connection_content(row) if kind == Subject.CONNECTION else _content(row)


def _connection_content(row: Mapping[str, Any]) -> ConnectionContent:
    return ConnectionContent(**{name: row[name] for name in CONNECTION_CONTENT})


def _adjustment_row(row: Mapping[str, Any]) -> AdjustmentRow:
    entries = [(entry["currency"], entry["quantity"]) for entry in row["entries"]]
    return AdjustmentRow(row["adjustment_id"], row["connection_id"], row["reason"], entries)


def _content(row: Mapping[str, Any]) -> Content:
    return Content(**{name: row[name] for name in CONTENT} | {"edition": Edition.of_row(row["edition"])})


def allocation_row(row: Mapping[str, Any]) -> AllocationRow:
    """From a row of `allocation` by column names."""
    plain = {name: row[name] for name in AllocationRow._fields if name in row}
    converted = {
        "kind": Kind(row["kind"]),
        "content": _content(row),
        "created_at": datetime.fromisoformat(row["created_at"]),
        "updated_at": datetime.fromisoformat(row["updated_at"]),
    }
    return AllocationRow(**plain | converted)
