"""Connections: which client at BitGo is connected to which account of the platform (contract, section 6). Pure.

BitGo activates a connection with a one-time token that the platform gave its user. The platform may deactivate it, and
activate it again. A platform account has one active connection at most; a deactivated one stays known, so that what it
has reserved can be cleared or released.

Whether a token is spent and an account connected depends on commands of other connections, which may stand on other
partitions. So a decision rests on the platform account as it was found, and takes the next number of its sequence, as
decisions on balances do (decision 5). A refusal for such a reason has an event, with the facts: without them it would
not follow from the log (record 0022).
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final, NamedTuple

from processor.domain.account import Account
from schemas.commands import ActivateConnection, ConnectionCommand
from schemas.events import ConnectionActivated, ConnectionDeactivated, ConnectionEvent, ConnectionRefused
from schemas.words import ConnectionStatus, ConnectionVerb, Outcome, Refusal


class Connection(NamedTuple):
    """A connection as it stands. `version` counts its transitions, from 1."""

    connection_id: str
    status: ConnectionStatus
    version: int
    client_id: str
    client_wallet_id: str | None
    partner_id: str | None
    partners_client_id: str
    partners_connection_id: str
    token_hash: str
    created_at: datetime
    updated_at: datetime


class PlatformAccount(NamedTuple):
    """An account of the platform. `sequence` counts the decisions that read or moved it."""

    partners_connection_id: str
    sequence: int = 0
    connected_by: str | None = None
    """The id of its active connection."""


class Found(NamedTuple):
    """What an activation finds beside its own history."""

    account: PlatformAccount
    token_used: bool
    holds_assets: bool


class ConnectionDecision(NamedTuple):
    """`event`: present when the decision rests on the platform account."""

    outcome: Outcome
    reason: Refusal | None = None
    event: ConnectionEvent | ConnectionRefused | None = None


_REPEATED: Final = ConnectionDecision(Outcome.REPEATED)


def holds_assets(accounts: Iterable[Account]) -> bool:
    return any(account.available or account.held for account in accounts)


def platform_account_of(state: Connection | None, command: ConnectionCommand) -> str | None:
    """The id of the platform account that a decision may rest on; None when there is none."""
    if state is not None:
        return state.partners_connection_id
    if isinstance(command, ActivateConnection) and command.issued is not None:
        return command.issued.partners_connection_id
    return None


def decide_connection(
    state: Connection | None, command: ConnectionCommand, found: Found | None, recorded_at: datetime
) -> ConnectionDecision:
    """What `command`, appended to the log at `recorded_at`, does. `found` is of `platform_account_of`."""
    if recorded_at > command.deadline:
        return _refused(Refusal.EXPIRED)
    if isinstance(command, ActivateConnection):
        return _activate(state, command, found, recorded_at)
    return _change(state, command, found, recorded_at)


def _change(
    state: Connection | None, command: ConnectionCommand, found: Found | None, recorded_at: datetime
) -> ConnectionDecision:
    if state is None:
        return _refused(Refusal.NOT_FOUND)
    wanted = ConnectionStatus.ACTIVE if command.verb is ConnectionVerb.REACTIVATE else ConnectionStatus.INACTIVE
    if state.status is wanted:
        return _REPEATED
    if wanted is ConnectionStatus.INACTIVE:
        return _changed(ConnectionDeactivated, state, command, recorded_at)
    if found is not None and found.account.connected_by is not None:
        return _refused_by_others(Refusal.ACCOUNT_CONNECTED, state.version, command, recorded_at)
    return _changed(ConnectionActivated, state, command, recorded_at)


def _activate(
    state: Connection | None, command: ActivateConnection, found: Found | None, recorded_at: datetime
) -> ConnectionDecision:
    """Refused in the contract's order: other content, token, account connected, account not empty."""
    if state is not None:
        same = (state.client_id, state.token_hash) == (command.client_id, command.token_hash)
        return _REPEATED if same else _refused(Refusal.DIFFERENT_CONTENT)
    if command.issued is None or found is None or recorded_at > command.issued.expires_at:
        return _refused(Refusal.INVALID_CONNECTION_TOKEN)
    if found.token_used:
        return _refused_by_others(Refusal.INVALID_CONNECTION_TOKEN, 0, command, recorded_at)
    if found.account.connected_by is not None:
        return _refused_by_others(Refusal.ACCOUNT_CONNECTED, 0, command, recorded_at)
    if found.holds_assets:
        return _refused_by_others(Refusal.ACCOUNT_NOT_EMPTY, 0, command, recorded_at)
    event = ConnectionActivated(
        version=1,
        occurred_at=recorded_at,
        command_id=command.command_id,
        connection_id=command.connection_id,
        client_id=command.client_id,
        client_wallet_id=command.client_wallet_id,
        partner_id=command.partner_id,
        partners_client_id=command.issued.partners_client_id,
        partners_connection_id=command.issued.partners_connection_id,
        token_hash=command.token_hash,
    )
    return ConnectionDecision(Outcome.APPLIED, None, event)


def _changed(
    kind: type[ConnectionActivated | ConnectionDeactivated],
    state: Connection,
    command: ConnectionCommand,
    recorded_at: datetime,
) -> ConnectionDecision:
    event = kind(
        version=state.version + 1,
        occurred_at=max(recorded_at, state.updated_at),
        command_id=command.command_id,
        connection_id=state.connection_id,
        client_id=state.client_id,
        client_wallet_id=state.client_wallet_id,
        partner_id=state.partner_id,
        partners_client_id=state.partners_client_id,
        partners_connection_id=state.partners_connection_id,
        token_hash=state.token_hash,
    )
    return ConnectionDecision(Outcome.APPLIED, None, event)


def _refused(reason: Refusal) -> ConnectionDecision:
    return ConnectionDecision(Outcome.REFUSED, reason)


def _refused_by_others(
    reason: Refusal, version: int, command: ConnectionCommand, recorded_at: datetime
) -> ConnectionDecision:
    event = ConnectionRefused(
        version=version,
        occurred_at=recorded_at,
        command_id=command.command_id,
        connection_id=command.connection_id,
        reason=reason,
    )
    return ConnectionDecision(Outcome.REFUSED, reason, event)


def evolve_connection(state: Connection | None, event: ConnectionEvent) -> Connection:
    """The connection after `event`."""
    active = isinstance(event, ConnectionActivated)
    return Connection(
        connection_id=event.connection_id,
        status=ConnectionStatus.ACTIVE if active else ConnectionStatus.INACTIVE,
        version=event.version,
        client_id=event.client_id,
        client_wallet_id=event.client_wallet_id,
        partner_id=event.partner_id,
        partners_client_id=event.partners_client_id,
        partners_connection_id=event.partners_connection_id,
        token_hash=event.token_hash,
        created_at=state.created_at if state else event.occurred_at,
        updated_at=event.occurred_at,
    )


def evolve_platform_account(account: PlatformAccount, event: ConnectionEvent | ConnectionRefused) -> PlatformAccount:
    """The platform account after a decision that read it and, when it changed a connection, moved it."""
    connected = account.connected_by
    if isinstance(event, ConnectionActivated):
        connected = event.connection_id
    elif isinstance(event, ConnectionDeactivated):
        connected = None
    return account._replace(sequence=account.sequence + 1, connected_by=connected)
