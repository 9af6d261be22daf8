"""One write from the body to the answer: publish, wait, be told or read (decisions 9 and 10)."""

import asyncio
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from ingress import measures
from ingress.answers import proof
from ingress.patience import Patience
from ingress.problems import outcome_pending, overloaded, unavailable
from ingress.publisher import NotPublishedError, OutcomePendingError, Publisher
from ingress.rows import OutcomeRow, Rows
from ingress.told import Told
from ingress.watermarks import Watermarks
from schemas.commands import FINISHES, RESERVES, Amount, Command, Reserve
from schemas.http import ReserveBody
from schemas.records import Position
from schemas.words import AfterFinal, Kind, Verb
from service.errors import UnavailableError
from service.health import Health
from service.logs import logger

DEADLINE_SECONDS: Final = 15

_log = logger("ingress")


def reserve_command(body: ReserveBody, after_final: AfterFinal) -> Reserve:
    return RESERVES[body.kind](
        **_stamps(),
        allocation_id=body.id,
        amount=Amount(currency=body.amount.currency, quantity=str(body.amount.quantity.base_units)),
        client_id=body.client_id,
        connection_id=body.connection_id,
        partners_connection_id=body.partners_connection_id,
        partner_allocation_id=body.partner_id,
        partner_client_id=body.sent_client_id,
        client_external_id=body.client_external_id,
        initiated_by=body.initiated_by,
        notes=body.notes,
        evaluation_id=body.evaluation_id,
        pending_approval_id=body.pending_approval_id,
        edition=body.edition,
        after_final=after_final,
    )


def finish_command(kind: Kind, verb: Verb, allocation_id: str) -> Command:
    return FINISHES[kind, verb](**_stamps(), allocation_id=allocation_id)


def _stamps() -> dict[str, Any]:
    received_at = datetime.now(UTC)
    return {
        "command_id": str(uuid4()),
        "received_at": received_at,
        "deadline": received_at + timedelta(seconds=DEADLINE_SECONDS),
    }


class Submission:
    """Publishes commands and finds out what became of them."""

    def __init__(
        self,
        publisher: Publisher,
        watermarks: Watermarks,
        rows: Rows,
        told: Told,
        health: Health,
        *,
        lag_max_records: int,
        answer_timeout: float,
    ) -> None:
        self._publisher = publisher
        self._watermarks = watermarks
        self._rows = rows
        self._told = told
        self._health = health
        self._lag_max = lag_max_records
        self._answer_timeout = answer_timeout
        self._patience = Patience(answer_timeout)
        self.log_ends: dict[int, int] = {}

    def check_capacity(self, allocation_id: str) -> None:
        """Raises ProblemError when a write of this id can not be taken now; nothing was claimed or published."""
        if self._publisher.is_stuck:
            raise unavailable("Kafka does not acknowledge; nothing was published")
        partition = self._publisher.partition_of(allocation_id)
        if self.log_ends.get(partition, 0) - self._watermarks.next_offset(partition) > self._lag_max:
            raise overloaded("the processors are behind")

    def awaiting(self, command: Command) -> AbstractContextManager[None]:
        """To be entered before a command is published whose outcome will be asked for."""
        return self._told.awaiting(command.command_id)

    async def publish(self, command: Command, traceparent: str) -> Position:
        """Raises ProblemError: `unavailable` when it was not published, `outcome_pending` when it may have been."""
        try:
            return await self._publisher.publish(command, traceparent, self._patience)
        except NotPublishedError as error:
            raise unavailable(f"nothing was published: {error}") from error
        except OutcomePendingError as error:
            raise outcome_pending({"Command-Id": command.command_id}) from error

    async def outcome_of(self, command: Command, position: Position) -> OutcomeRow:
        """What became of a command that this process published. The row is the proof: it must be the command's own."""
        headers = proof(command.command_id, position)
        row = await self.outcome_at(position, headers, command.command_id)
        if row is None and await self.is_pruned(position, headers):
            raise outcome_pending(headers)
        if row is None or not row.is_of(command.command_id):
            self._report_another_log(position, command, row)
            raise outcome_pending(headers)
        return row

    async def outcome_at(self, position: Position, headers: dict[str, str], command_id: str = "") -> OutcomeRow | None:
        """Wait until the record at a position was applied; gives its journal row, as it was told or else as it is read.

        Raises ProblemError `outcome_pending` when time is up or Postgres is away.
        """
        deadline = asyncio.get_running_loop().time() + self._answer_timeout
        try:
            await self._watermarks.wait(position.partition, position.offset, self._patience)
            told = self._told.outcome(command_id, position)
            (measures.TOLD if told else measures.READ).inc()
            if told:
                return told
            async with asyncio.timeout_at(deadline):
                return await self._rows.outcome((position.partition, position.offset))
        except (TimeoutError, UnavailableError) as error:
            raise outcome_pending(headers) from error

    async def is_pruned(self, position: Position, headers: dict[str, str]) -> bool:
        """Whether there is no row at a position because it was pruned. Raises ProblemError as `outcome_at` does."""
        try:
            return await self._rows.is_pruned(position.partition, position.offset)
        except UnavailableError as error:
            raise outcome_pending(headers) from error

    def _report_another_log(self, position: Position, command: Command, row: OutcomeRow | None) -> None:
        found = f"command {row.command_id}" if row else "nothing"
        self._health.problem(
            "log",
            f"{position} is command {command.command_id} in the log and {found} in the journal: the tables are "
            "another log's. Stop this process, then point it at the database that belongs to the log",
        )
        _log.error("another_log", position=str(position), command_id=command.command_id, journal=found)
