"""Single use of tokens, across processes and restarts (decision 11)."""

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from ingress import metrics
from ingress.auth.signatures import Token
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


class TokenReplay:
    """Claims the jti of tokens; the first to claim one has it, everybody after is refused as a replay."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._coalesced: Coalesced[tuple[bytes, float], bool] = Coalesced(self._claim_group, CLAIMS_MAX, LINGER_SECONDS)

    async def claim(self, token: Token, deadline: float) -> bool:
        """False when the token was used before. Raises UnavailableError or TimeoutError when Postgres can not say."""
        if token.jti is None:
            return True
        jti_hash = hashlib.sha256(token.jti.encode("utf-8", "surrogatepass")).digest()
        async with asyncio.timeout_at(deadline):
            return await self._coalesced((jti_hash, token.expires_at))

    async def _claim_group(self, group: Sequence[tuple[bytes, float]]) -> list[bool]:
        wanted = dict(reversed(group))
        ordered = sorted(wanted)

        async def insert(connection: Connection) -> set[bytes]:
            cursor = await connection.execute(
                _SQL["claim"],
                {"hashes": ordered, "expiries": [str(wanted[each] + KEEP_SECONDS) for each in ordered]},
            )
            return {row[0] for row in await cursor.fetchall()}

        claimed = await self._database.run(insert)
        answers = []
        for each, _ in group:
            answers.append(each in claimed)
            claimed.discard(each)
        return answers

    async def prune_for_ever(self, health: Health) -> None:
        """Delete claims whose tokens have expired for good.

        What is not deleted takes room and nothing else: an operator sees it in /readyz, in the log and in a counter.
        """
        delay = PRUNE_EVERY_SECONDS
        while True:
            await asyncio.sleep(delay)
            delay = PRUNE_EVERY_SECONDS
            try:
                while await self._database.run(_prune) == PRUNE_MAX_ROWS:
                    pass
                health.well(PRUNING)
            except UnavailableError as error:
                delay = min(PRUNE_AGAIN_SECONDS, delay)
                metrics.NOT_PRUNED.inc()
                health.degraded(PRUNING, f"used tokens are not deleted: {error}")
                _log.warning("claims_not_pruned", error=str(error))


async def _prune(connection: Connection) -> int:
    cursor = await connection.execute(
        _SQL["prune_claims"],
        {"before": datetime.now(UTC), "limit": PRUNE_MAX_ROWS},
    )
    return cursor.rowcount
