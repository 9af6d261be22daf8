"""Whether journal and log belong together, as far as outcomes show (decision 9).

A row that is missing or another command's, although the tables have passed its position, says that they do not. What
was wrong for a while is right again by itself: with the next outcome of that partition, or when the row is there.
"""

from ingress.postgres.rows import OutcomeRow
from schemas.records import Position
from service.health import Health
from service.logs import logger

_log = logger("ingress")


class LogCheck:
    """Says `log` in /readyz while any partition differs."""

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
        _log.error("another_log", position=str(position), command_id=command_id, journal=journal)

    def agrees(self, partition: int) -> None:
        if self._differing.pop(partition, None) is None:
            return
        _log.info("log_agrees", partition=partition)
        if not self._differing:
            self._health.well("log")

    def differing(self) -> list[tuple[Position, str]]:
        """Positions to look at again, with the command that belongs there."""
        return list(self._differing.values())
