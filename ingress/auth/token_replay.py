"""Single use of tokens, across processes and restarts (decision 11)."""

import asyncio
import hashlib
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import Final, NamedTuple

from ingress import metrics
from ingress.auth.signatures import Token
from ingress.postgres import connection_tokens
from ingress.postgres.coalesce import Coalesced
from ingress.postgres.database import Connection, Database
from service.errors import UnavailableError
from service.health import Health
from service.logs import logger
from service.sql import statements

KEEP_SECONDS: Final = 60
PRUNE_EVERY_SECONDS: Final = 30.0
PRUNE_AGAIN_SECONDS: Final = 5.0
PRUNE_MAX_ROWS: Final = 10_000
PRUNING: Final = "pruning"
CLAIMS_MAX: Final = 500
LINGER_SECONDS: Final = 0.008

_SQL: Final = statements("ingress.postgres")
_log = logger("ingress")


class Claim(StrEnum):
    """The result of a claim; known to the log and a counter, never to the caller (contract, section 11)."""

    FIRST = "first"
    REUSED = "reused"
    """The very same token came before: a client library or a proxy repeats requests by itself. Also when it cannot be
    known whether it was the same.
    """
    COLLISION = "jti_collision"
    """Another token came before with the same jti."""


class _Asked(NamedTuple):
    jti_hash: bytes
    token_hash: bytes
    expires_at: float


class TokenReplay:
    """Claims the jti of tokens: the first claim succeeds, every later one is a replay."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._coalesced: Coalesced[_Asked, Claim] = Coalesced(self._claim_group, CLAIMS_MAX, LINGER_SECONDS)

    async def claim(self, token: Token, deadline: float) -> Claim:
        """Raises UnavailableError or TimeoutError if Postgres does not answer."""
        if token.jti is None:
            return Claim.FIRST
        jti_hash = hashlib.sha256(token.jti.encode("utf-8", "surrogatepass")).digest()
        async with asyncio.timeout_at(deadline):
            return await self._coalesced(_Asked(jti_hash, token.hash, token.expires_at))

    async def _claim_group(self, group: Sequence[_Asked]) -> list[Claim]:
        """Of several claims of one jti in a group only the first can succeed."""
        first = {asked.jti_hash: asked for asked in reversed(group)}
        claimed = await self._database.run(partial(_insert, sorted(first.values())))
        owners = {jti: first[jti].token_hash for jti in claimed}
        if len(claimed) < len(first):
            with suppress(UnavailableError):  # it only names the reason: who came first must not wait for another try
                owners |= await self._database.run(partial(_claimed_by, sorted(first.keys() - claimed)))
        claims = []
        for asked in group:
            same = owners.get(asked.jti_hash, asked.token_hash) == asked.token_hash
            claims.append(Claim.FIRST if asked.jti_hash in claimed else Claim.REUSED if same else Claim.COLLISION)
            claimed.discard(asked.jti_hash)
        return claims

    async def prune_for_ever(self, health: Health) -> None:
        """Delete claims whose tokens have expired for good, and connection tokens a day after they expired.

        A failure costs disk space and nothing else; it shows in /readyz, in the log and in a counter.
        """
        delay = PRUNE_EVERY_SECONDS
        while True:
            await asyncio.sleep(delay)
            delay = PRUNE_EVERY_SECONDS
            try:
                for prune in (_prune, partial(connection_tokens.prune, limit=PRUNE_MAX_ROWS)):
                    while await self._database.run(prune) == PRUNE_MAX_ROWS:
                        pass
                health.well(PRUNING)
            except UnavailableError as error:
                delay = min(PRUNE_AGAIN_SECONDS, delay)
                metrics.NOT_PRUNED.inc()
                health.degraded(PRUNING, f"used tokens are not deleted: {error}")
                _log.warning("claims_not_pruned", error=str(error))


async def _insert(asked: Sequence[_Asked], connection: Connection) -> set[bytes]:
    """Hashes of the jtis that nobody had claimed before."""
    columns = {
        "jtis": [each.jti_hash for each in asked],
        "tokens": [each.token_hash for each in asked],
        "expiries": [str(each.expires_at + KEEP_SECONDS) for each in asked],
    }
    cursor = await connection.execute(_SQL["claim"], columns)
    return {row[0] for row in await cursor.fetchall()}


async def _claimed_by(jtis: Sequence[bytes], connection: Connection) -> dict[bytes, bytes]:
    """The hash of the token that claimed each jti, unless it was pruned in between."""
    cursor = await connection.execute(_SQL["claimed_by"], {"jtis": list(jtis)})
    return {row[0]: row[1] for row in await cursor.fetchall()}


async def _prune(connection: Connection) -> int:
    cursor = await connection.execute(
        _SQL["prune_claims"],
        {"before": datetime.now(UTC), "limit": PRUNE_MAX_ROWS},
    )
    return cursor.rowcount
