"""Outcomes that a processor told of, for those who wait for one here (record 0015)."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ingress.rows import OutcomeRow, outcome_row
from schemas.records import Position


class Told:
    """Keeps the outcomes of commands that this process has published and not answered yet, and of no others."""

    def __init__(self) -> None:
        self._awaited: dict[str, Sequence[Any] | None] = {}

    @contextmanager
    def awaiting(self, command_id: str) -> Iterator[None]:
        """To be entered before the command is published: its outcome may be told before its acknowledgement comes."""
        self._awaited[command_id] = None
        try:
            yield
        finally:
            del self._awaited[command_id]

    def hear(self, rows: Iterable[Sequence[Any]]) -> None:
        for row in rows:
            if row[2] in self._awaited:
                self._awaited[row[2]] = row

    def outcome(self, command_id: str, position: Position) -> OutcomeRow | None:
        """What was told of a command, if it was, and of this very place in the log."""
        row = self._awaited.get(command_id)
        if row is None or (row[0], row[1]) != (position.partition, position.offset):
            return None
        return outcome_row(row)
