"""The table of connection tokens: issued by the platform, kept as hashes, not derived from the log (decision 15)."""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from ingress.postgres.database import Connection
from schemas.commands import IssuedToken
from service.sql import statements

TOKEN_BYTES: Final = 32
KEPT_AFTER: Final = timedelta(days=1)
"""Expired tokens stay for people to see."""
LISTED_MAX: Final = 1000

_SQL: Final = statements("ingress.postgres")


class Known(NamedTuple):
    """A token that was issued and not revoked."""

    token_hash: str
    issued: IssuedToken


class NewToken(NamedTuple):
    """A token that was just issued: the only time that it is known."""

    token: str
    token_hash: str
    issued: IssuedToken


class Listed(NamedTuple):
    """What people see of a token. `connection_id`: the connection that it activated."""

    token_hash: str
    partners_connection_id: str
    partners_client_id: str
    issued_by: str
    issued_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    connection_id: str | None


def hash_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


async def issue(
    connection: Connection, *, partners_connection_id: str, partners_client_id: str, lifetime: timedelta, issued_by: str
) -> NewToken:
    """Issue a token of 43 characters for an account of the platform. By the database's clock."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    token_hash = hash_of(token)
    row = {
        "token_hash": token_hash,
        "partners_connection_id": partners_connection_id,
        "partners_client_id": partners_client_id,
        "lifetime": lifetime,
        "issued_by": issued_by,
    }
    cursor = await connection.execute(_SQL["issue_connection_token"], row)
    found = await cursor.fetchone()
    assert found is not None  # noqa: S101 - an INSERT that returns its row
    issued = IssuedToken(
        partners_connection_id=partners_connection_id, partners_client_id=partners_client_id, expires_at=found[0]
    )
    return NewToken(token, token_hash, issued)


async def find(connection: Connection, *, token_hash: str) -> Known | None:
    cursor = await connection.execute(_SQL["connection_token"], {"token_hash": token_hash})
    row = await cursor.fetchone()
    if row is None:
        return None
    issued = IssuedToken(partners_connection_id=row[1], partners_client_id=row[2], expires_at=row[3])
    return Known(row[0], issued)


async def revoke(connection: Connection, *, token_hash: str) -> bool:
    """Whether there is such a token. One that activated a connection is spent, and that connection stays."""
    cursor = await connection.execute(_SQL["revoke_connection_token"], {"token_hash": token_hash})
    return cursor.rowcount > 0


async def listed(connection: Connection) -> list[Listed]:
    """Those that have not expired, the newest first, 1,000 at most."""
    cursor = await connection.execute(_SQL["connection_tokens"], {"limit": LISTED_MAX})
    return [Listed(*row) for row in await cursor.fetchall()]


async def prune(connection: Connection, *, limit: int) -> int:
    """Delete those that expired a day ago, by both clocks; returns how many, `limit` at most."""
    before = datetime.now(UTC) - KEPT_AFTER
    cursor = await connection.execute(
        _SQL["prune_connection_tokens"], {"before": before, "kept": KEPT_AFTER, "limit": limit}
    )
    return cursor.rowcount
