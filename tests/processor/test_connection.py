"""Every transition of a connection, and every refusal, in the contract's order (section 6)."""

from datetime import timedelta

import pytest

from processor.domain.connection import (
    Connection,
    Found,
    PlatformAccount,
    decide_connection,
    evolve_connection,
    evolve_platform_account,
    platform_account_of,
)
from schemas.commands import ConnectionCommand
from schemas.events import ConnectionActivated, ConnectionDeactivated, ConnectionEvent, ConnectionRefused
from schemas.words import ConnectionStatus, Outcome, Refusal
from tests.support.commands import NOON
from tests.support.platform import CLIENT, activate, deactivate, issued, reactivate

ID = "22222222-2222-4222-8222-222222222222"
OTHER = "99999999-9999-4999-8999-999999999999"
SECOND = timedelta(seconds=1)
FREE = PlatformAccount("account-7", 4, None)
TAKEN = FREE._replace(connected_by=OTHER)
EMPTY = Found(FREE, token_used=False, holds_assets=False)


def known(*commands: ConnectionCommand) -> Connection:
    """A connection after an activation, and what else was asked."""
    state = None
    for command in (activate(ID, of=issued(), at=NOON - SECOND), *commands):
        event = decide_connection(state, command, EMPTY, NOON - SECOND).event
        assert isinstance(event, ConnectionEvent)
        state = evolve_connection(state, event)
    assert state is not None
    return state


def test_given_an_issued_token_when_activated_then_the_connection_is_of_its_account() -> None:
    command = activate(ID, of=issued())
    decision = decide_connection(None, command, EMPTY, NOON)
    assert (Outcome.APPLIED, None) == (decision.outcome, decision.reason)
    assert isinstance(decision.event, ConnectionActivated)
    state = evolve_connection(None, decision.event)
    assert (
        Connection(
            *(ID, ConnectionStatus.ACTIVE, 1, CLIENT, None, None, "user of account-7", "account-7", command.token_hash),
            *(NOON, NOON),
        )
        == state
    )
    assert PlatformAccount("account-7", 5, ID) == evolve_platform_account(FREE, decision.event)


@pytest.mark.parametrize(
    ("state", "command", "found", "reason"),
    [
        (None, activate(ID, of=issued(), at=NOON - timedelta(minutes=1)), EMPTY, Refusal.EXPIRED),
        (known(), activate(ID, "another", issued()), EMPTY, Refusal.DIFFERENT_CONTENT),
        (known(), activate(ID, of=issued(), client_id=OTHER), EMPTY, Refusal.DIFFERENT_CONTENT),
        (None, activate(ID), None, Refusal.INVALID_CONNECTION_TOKEN),
        (None, activate(ID, of=issued(expires_at=NOON - SECOND)), EMPTY, Refusal.INVALID_CONNECTION_TOKEN),
        (None, deactivate(ID), None, Refusal.NOT_FOUND),
        (None, reactivate(ID), None, Refusal.NOT_FOUND),
    ],
)
def test_given_its_own_history_forbids_it_then_nothing_else_is_looked_at(
    state: Connection | None, command: ConnectionCommand, found: Found | None, reason: Refusal
) -> None:
    decision = decide_connection(state, command, found, NOON)
    assert (Outcome.REFUSED, reason, None) == decision


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (Found(TAKEN, token_used=True, holds_assets=True), Refusal.INVALID_CONNECTION_TOKEN),
        (Found(TAKEN, token_used=False, holds_assets=True), Refusal.ACCOUNT_CONNECTED),
        (Found(FREE, token_used=False, holds_assets=True), Refusal.ACCOUNT_NOT_EMPTY),
    ],
)
def test_given_others_forbid_it_then_the_first_reason_counts_and_has_an_event(found: Found, reason: Refusal) -> None:
    decision = decide_connection(None, activate(ID, of=issued()), found, NOON)
    assert (Outcome.REFUSED, reason) == decision[:2]
    assert isinstance(decision.event, ConnectionRefused)
    assert (0, reason) == (decision.event.version, decision.event.reason)
    after = evolve_platform_account(found.account, decision.event)
    assert found.account._replace(sequence=5) == after


@pytest.mark.parametrize("found", [EMPTY, Found(TAKEN, token_used=True, holds_assets=True)])
def test_given_it_is_known_when_activated_with_the_same_content_then_it_is_a_repeat(found: Found) -> None:
    """Though the token is used by now, and expired, and the connection is inactive."""
    for state in (known(), known(deactivate(ID))):
        again = activate(ID, of=issued(expires_at=NOON - SECOND))
        assert (Outcome.REPEATED, None, None) == decide_connection(state, again, found, NOON)


def test_given_it_is_active_when_deactivated_and_reactivated_then_each_happens_once() -> None:
    state = known()
    assert (Outcome.REPEATED, None, None) == decide_connection(state, reactivate(ID), EMPTY, NOON)
    off = decide_connection(state, deactivate(ID), EMPTY, NOON)
    assert isinstance(off.event, ConnectionDeactivated)
    account = evolve_platform_account(FREE._replace(connected_by=ID), off.event)
    assert FREE._replace(sequence=5) == account
    state = evolve_connection(state, off.event)
    assert (ConnectionStatus.INACTIVE, 2, NOON) == (state.status, state.version, state.updated_at)
    assert (Outcome.REPEATED, None, None) == decide_connection(state, deactivate(ID), EMPTY, NOON)
    on = decide_connection(state, reactivate(ID), EMPTY, NOON)
    assert isinstance(on.event, ConnectionActivated)
    state = evolve_connection(state, on.event)
    assert (ConnectionStatus.ACTIVE, 3) == (state.status, state.version)
    assert ID == evolve_platform_account(account, on.event).connected_by


def test_given_another_took_the_account_when_reactivated_then_it_is_refused() -> None:
    state = known(deactivate(ID))
    decision = decide_connection(state, reactivate(ID), Found(TAKEN, token_used=False, holds_assets=False), NOON)
    assert (Outcome.REFUSED, Refusal.ACCOUNT_CONNECTED) == decision[:2]
    assert isinstance(decision.event, ConnectionRefused)
    assert 2 == decision.event.version


def test_the_time_of_a_connection_never_goes_back() -> None:
    off = decide_connection(known(), deactivate(ID), EMPTY, NOON - timedelta(minutes=1))
    assert off.event is not None
    assert NOON - SECOND == off.event.occurred_at


@pytest.mark.parametrize(
    ("state", "command", "account"),
    [
        (None, activate(ID), None),
        (None, activate(ID, of=issued()), "account-7"),
        (known(), activate(ID, of=issued("account-8")), "account-7"),
        (known(), deactivate(ID), "account-7"),
        (None, deactivate(ID), None),
    ],
)
def test_the_platform_account_of_a_command(
    state: Connection | None, command: ConnectionCommand, account: str | None
) -> None:
    assert account == platform_account_of(state, command)
