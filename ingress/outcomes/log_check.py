"""Whether the journal matches the log, as far as outcomes show (decision 9).

It does not if the tables have passed a position and its row is missing or another command's. The problem clears by
itself: with the next matching outcome of that partition, or when the row appears.
"""

from ingress.postgres.rows import OutcomeRow
from schemas.records import Position
from service.health import Health
from service.logs import logger

_log = logger("ingress")


class LogCheck:
    """Reports `log` in /readyz while any partition does not match."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._differing: dict[int, tuple[Position, str]] = {}

    def differs(self, position: Position, command_id: str, row: OutcomeRow | None) -> None:
        journal = f"command {row.command_id}" if row else "nothing"
        self._differing[position.partition] = (position, command_id)
        self._health.problem(
            "log",
            f"{position} is command {command_id} in the log and {journal} in the journal: the tables are "
            "another log's. Point this process at the database that belongs to the log",
        )
        _log.error("journal_mismatch", position=str(position), command_id=command_id, journal=journal)

    def agrees(self, partition: int) -> None:
        if self._differing.pop(partition, None) is None:
            return
        _log.info("journal_match_restored", partition=partition)
        if not self._differing:
            self._health.well("log")

    def differing(self) -> list[tuple[Position, str]]:
        """Mismatched positions to check again, with the command that belongs there."""
        return list(self._differing.values())
