"""Adjustments: balances that trading moved, all entries or none, once for each id (contract, section 9). Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from processor.domain.account import Account
from schemas.commands import AdjustBalance, Entry
from schemas.events import AdjustmentRefused, BalanceAdjusted
from schemas.words import Outcome, Refusal

BOOKED: Final = "booked"
"""The only status of an adjustment: a refused one leaves nothing."""


class Adjustment(NamedTuple):
    """An adjustment that was booked, as it was asked for."""

    adjustment_id: str
    connection_id: str
    reason: str
    entries: tuple[Entry, ...]
    created_at: datetime


class AdjustmentDecision(NamedTuple):
    """`event`: present when the decision rests on the balances of the accounts that the entries name."""

    outcome: Outcome
    reason: Refusal | None = None
    event: BalanceAdjusted | AdjustmentRefused | None = None


def decide_adjustment(
    state: Adjustment | None, command: AdjustBalance, accounts: Sequence[Account], recorded_at: datetime
) -> AdjustmentDecision:
    """What `command`, appended to the log at `recorded_at`, does. `accounts` are those of its entries, in their order.

    Precedence: expired, other content, repeated, insufficient balance.
    """
    if recorded_at > command.deadline:
        return AdjustmentDecision(Outcome.REFUSED, Refusal.EXPIRED)
    if state is not None and not _same_content(state, command):
        return AdjustmentDecision(Outcome.REFUSED, Refusal.DIFFERENT_CONTENT)
    if state is not None:
        return AdjustmentDecision(Outcome.REPEATED)
    after = (account.available + int(entry.quantity) for account, entry in zip(accounts, command.entries, strict=True))
    if min(after) < 0:
        event = _refused(command, recorded_at, Refusal.INSUFFICIENT_BALANCE)
        return AdjustmentDecision(Outcome.REFUSED, event.reason, event)
    return AdjustmentDecision(Outcome.APPLIED, None, _adjusted(command, recorded_at))


def _same_content(state: Adjustment, command: AdjustBalance) -> bool:
    return (
        state.connection_id == command.connection_id
        and state.reason == command.reason
        and state.entries == command.entries
    )


def _adjusted(command: AdjustBalance, recorded_at: datetime) -> BalanceAdjusted:
    return BalanceAdjusted(
        version=1,
        occurred_at=recorded_at,
        command_id=command.command_id,
        adjustment_id=command.adjustment_id,
        connection_id=command.connection_id,
        reason=command.reason,
        entries=command.entries,
    )


def _refused(command: AdjustBalance, recorded_at: datetime, reason: Refusal) -> AdjustmentRefused:
    return AdjustmentRefused(
        version=0,
        occurred_at=recorded_at,
        command_id=command.command_id,
        adjustment_id=command.adjustment_id,
        connection_id=command.connection_id,
        reason=reason,
    )


def evolve_adjustment(event: BalanceAdjusted) -> Adjustment:
    return Adjustment(event.adjustment_id, event.connection_id, event.reason, event.entries, event.occurred_at)
