"""One write: publish the command and wait for its outcome (decisions 9 and 10)."""

import asyncio
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from ingress.answers import COMMAND_ID, proof
from ingress.http.problems import outcome_pending, overloaded, unavailable
from ingress.kafka.end_offsets import EndOffsets
from ingress.kafka.publisher import NotPublishedError, OutcomePendingError, Publisher
from ingress.outcomes.outcomes import Outcomes, OutcomeUnknownError
from ingress.postgres.rows import OutcomeRow
from schemas.commands import (
    FINISHES,
    RESERVES,
    ActivateConnection,
    AdjustBalance,
    AllocationCommand,
    Amount,
    Command,
    DeactivateConnection,
    Entry,
    IssuedToken,
    ReactivateConnection,
    Reserve,
)
from schemas.http import ActivateBody, ReserveBody
from schemas.platform_bodies import AdjustmentBody
from schemas.records import Position
from schemas.words import AfterFinal, Kind, Verb

DEADLINE_SECONDS: Final = 15


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


def finish_command(kind: Kind, verb: Verb, allocation_id: str) -> AllocationCommand:
    return FINISHES[kind, verb](**_stamps(), allocation_id=allocation_id)


def activate_command(body: ActivateBody, token_hash: str, issued: IssuedToken | None) -> ActivateConnection:
    return ActivateConnection(
        **_stamps(),
        connection_id=body.connection_id,
        client_id=body.client_id,
        client_wallet_id=body.client_wallet_id or None,
        partner_id=body.partner_id,
        token_hash=token_hash,
        issued=issued,
    )


def change_command(
    command: type[DeactivateConnection | ReactivateConnection], connection_id: str, asked_by: str
) -> DeactivateConnection | ReactivateConnection:
    return command(**_stamps(), connection_id=connection_id, asked_by=asked_by)


def adjust_command(body: AdjustmentBody) -> AdjustBalance:
    """The order of the entries does not count: the command has them sorted."""
    entries = sorted(body.entries, key=lambda entry: entry.currency)
    return AdjustBalance(
        **_stamps(),
        adjustment_id=body.adjustment_id,
        connection_id=body.connection_id,
        reason=body.reason,
        entries=tuple(Entry(currency=entry.currency, quantity=str(entry.quantity)) for entry in entries),
    )


def _stamps() -> dict[str, Any]:
    received_at = datetime.now(UTC)
    return {
        "command_id": str(uuid4()),
        "received_at": received_at,
        "deadline": received_at + timedelta(seconds=DEADLINE_SECONDS),
    }


class Submission:
    """Publishes commands and waits for their outcomes. Deadlines are times of the event loop's clock."""

    def __init__(
        self,
        publisher: Publisher,
        outcomes: Outcomes,
        end_offsets: EndOffsets,
        *,
        lag_max_records: int,
        answer_timeout: float,
    ) -> None:
        self._publisher = publisher
        self._outcomes = outcomes
        self._end_offsets = end_offsets
        self._lag_max = lag_max_records
        self._answer_timeout = answer_timeout

    def deadline(self) -> float:
        """The deadline of a request that arrives now: for its body, claim, record and outcome together."""
        return asyncio.get_running_loop().time() + self._answer_timeout

    def check_capacity(self, subject_id: str) -> None:
        """Raises ProblemError if a write of this id cannot be accepted now; nothing was claimed or published."""
        partition = self._publisher.partition_of(subject_id)
        if self._publisher.is_stuck(partition):
            raise unavailable("Kafka does not acknowledge; nothing was published")
        if self._end_offsets.of(partition) - self._outcomes.applied_before(partition) > self._lag_max:
            raise overloaded("the processors are behind")

    def expecting(self, command: Command) -> AbstractContextManager[None]:
        """Enter before publishing a command whose outcome will be awaited."""
        return self._outcomes.expecting(command.command_id)

    async def publish(self, command: Command, traceparent: str, deadline: float) -> Position:
        """Raises ProblemError: `unavailable` when it was not published, `outcome_pending` when it may have been."""
        try:
            return await self._publisher.publish(command, traceparent, deadline)
        except NotPublishedError as error:
            raise unavailable(f"nothing was published: {error}") from error
        except OutcomePendingError as error:
            raise outcome_pending({COMMAND_ID: command.command_id}) from error

    async def outcome_of(self, command: Command, position: Position, deadline: float) -> OutcomeRow:
        """The outcome of a command that this process published. Raises ProblemError `outcome_pending`."""
        try:
            return await self._outcomes.of(command.command_id, position, deadline)
        except OutcomeUnknownError as error:
            raise outcome_pending(proof(command.command_id, position)) from error
