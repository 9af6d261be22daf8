"""Commands of the platform, and of connections, for tests without HTTP."""

import hashlib
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from schemas.commands import (
    ActivateConnection,
    AdjustBalance,
    DeactivateConnection,
    Entry,
    IssuedToken,
    ReactivateConnection,
)
from tests.support.commands import NOON

CLIENT = "11111111-1111-4111-8111-111111111111"


def _stamps(received_at: datetime) -> dict[str, Any]:
    return {
        "command_id": str(uuid.uuid4()),
        "received_at": received_at,
        "deadline": received_at + timedelta(seconds=15),
    }


def issued(account: str = "account-7", expires_at: datetime = NOON + timedelta(hours=1)) -> IssuedToken:
    return IssuedToken(partners_connection_id=account, partners_client_id=f"user of {account}", expires_at=expires_at)


def activate(
    connection_id: str,
    token: str = "token",  # noqa: S107 - what is hashed
    of: IssuedToken | None = None,
    client_id: str = CLIENT,
    at: datetime = NOON,
) -> ActivateConnection:
    """`of`: what the token was issued for; None when it was not."""
    return ActivateConnection(
        **_stamps(at),
        connection_id=connection_id,
        client_id=client_id,
        token_hash=hashlib.sha256(token.encode()).hexdigest(),
        issued=of,
    )


def deactivate(connection_id: str, at: datetime = NOON) -> DeactivateConnection:
    return DeactivateConnection(**_stamps(at), connection_id=connection_id, asked_by="operator")


def reactivate(connection_id: str, at: datetime = NOON) -> ReactivateConnection:
    return ReactivateConnection(**_stamps(at), connection_id=connection_id, asked_by="operator")


def adjust(
    connection_id: str,
    changes: Mapping[str, int],
    adjustment_id: str | None = None,
    reason: str = "trade",
    at: datetime = NOON,
) -> AdjustBalance:
    """`changes`: signed base units by currency."""
    return AdjustBalance(
        **_stamps(at),
        adjustment_id=adjustment_id or str(uuid.uuid4()),
        connection_id=connection_id,
        reason=reason,
        entries=tuple(Entry(currency=each, quantity=str(changes[each])) for each in sorted(changes)),
    )
