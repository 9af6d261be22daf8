"""The outcome of a command: wait for a hint, then read it (decision 9).

An outcome is read by one statement in one snapshot: the partition's watermark and the journal row at the position. Or
the notification carried the row, on a channel whose name only our roles can read (record 0015).
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from ingress import metrics
from ingress.outcomes.hints import Hints
from ingress.outcomes.log_check import LogCheck
from ingress.postgres.coalesce import Coalesced
from ingress.postgres.database import Connection, Database
from ingress.postgres.reached import Reached
from ingress.postgres.rows import OutcomeRow, outcome_row
from schemas.notifications import Notification
from schemas.records import Position
from service.errors import UnavailableError
from service.health import Health
from service.sql import statements

COALESCED_MAX: Final = 500

_SQL: Final = statements("ingress.postgres")

Place = tuple[int, int]
"""Partition and offset."""


class OutcomeUnknownError(Exception):
    """The command is in the log, and its outcome is not known."""


class Found(NamedTuple):
    """The row at a position that the tables have passed; None if it was pruned or never written."""

    row: OutcomeRow | None
    pruned: bool = False


class Outcomes:
    """Finds outcomes. `next_offsets`: the watermarks as last read, by partition; after a failover they may be lower."""

    def __init__(self, database: Database, hints: Hints, health: Health, reached: Reached) -> None:
        self._database = database
        self._reached = reached
        self._hints = hints
        self._log_check = LogCheck(health)
        self._looks: Coalesced[Place, Sequence[Any]] = Coalesced(self._look_group, COALESCED_MAX)
        self._announced: dict[str, Mapping[str, Any] | None] = {}
        self.next_offsets: dict[int, int] = {}

    def applied_before(self, partition: int) -> int:
        """The next offset of a partition as far as known: read from the tables, or announced since."""
        return max(self.next_offsets.get(partition, 0), self._hints.said(partition))

    @contextmanager
    def expecting(self, command_id: str) -> Iterator[None]:
        """Enter before the command is published: its outcome may arrive before its acknowledgement."""
        self._announced[command_id] = None
        try:
            yield
        finally:
            del self._announced[command_id]

    def hear(self, notification: Notification) -> None:
        for row in notification.outcomes:
            if row["command_id"] in self._announced:
                self._announced[row["command_id"]] = row
        self._hints.give(notification.next_offsets)

    async def of(self, command_id: str, position: Position, deadline: float) -> OutcomeRow:
        """The outcome of a command that this process published at a position. Raises OutcomeUnknownError."""
        try:
            found = await self.at(position, deadline, command_id)
        except TimeoutError:
            raise OutcomeUnknownError("it was not applied in time") from None
        if found.row is not None and found.row.is_of(command_id):
            self._log_check.agrees(position.partition)
            self._reached.note({position.partition: position.offset + 1})
            return found.row
        if found.row is not None or not found.pruned:
            self._log_check.differs(position, command_id, found.row)
        raise OutcomeUnknownError("its row is not there")

    async def at(self, position: Position, deadline: float, command_id: str = "") -> Found:
        """The row at a position, once the tables have passed it. Raises TimeoutError at the deadline."""
        place = (position.partition, position.offset)
        hint = self._hints.first(*place)
        while True:
            await self._wait(hint, deadline)
            if announced := self._announced_at(place, command_id):
                metrics.FROM_NOTIFICATION.inc()
                return Found(announced)
            if found := await self._look(place, deadline):
                metrics.FROM_TABLE.inc()
                return found
            hint = self._hints.next(*place)

    async def _wait(self, hint: "asyncio.Future[None]", deadline: float) -> None:
        async with asyncio.timeout_at(deadline):
            await hint

    def _announced_at(self, place: Place, command_id: str) -> OutcomeRow | None:
        row = self._announced.get(command_id)
        try:
            return outcome_row(row) if row and (row["partition"], row["offset"]) == place else None
        except (ValueError, TypeError, KeyError):
            return None

    async def poll(self) -> None:
        """Read how far the tables are. Raises UnavailableError."""
        self.next_offsets = await self._database.run(_read_watermarks)
        self._hints.correct(self.next_offsets)
        self._reached.note(self.next_offsets)
        for position, command_id in self._log_check.differing():
            found = await self._look((position.partition, position.offset), asyncio.get_running_loop().time() + 1)
            if found and found.row and found.row.is_of(command_id):
                self._log_check.agrees(position.partition)

    async def _look(self, place: Place, deadline: float) -> Found | None:
        """None if the tables have not passed the position yet, or do not answer."""
        try:
            async with asyncio.timeout_at(deadline):
                next_offset, pruned_before, row, dead_letter = await self._looks(place)
        except UnavailableError:
            return None
        self.next_offsets[place[0]] = next_offset
        if next_offset <= place[1]:
            return None
        return Found(outcome_row(row, dead_letter) if row else None, pruned_before > place[1])

    async def _look_group(self, places: Sequence[Place]) -> list[Sequence[Any]]:
        async def query(connection: Connection) -> dict[Place, Sequence[Any]]:
            asked = {"partitions": [each[0] for each in places], "offsets": [each[1] for each in places]}
            cursor = await connection.execute(_SQL["outcomes"], asked)
            return {(row[0], row[1]): row[2:] for row in await cursor.fetchall()}

        found = await self._database.run(query)
        return [found[place] for place in places]


async def _read_watermarks(connection: Connection) -> dict[int, int]:
    cursor = await connection.execute(_SQL["watermarks"])
    return {row[0]: row[1] for row in await cursor.fetchall()}
