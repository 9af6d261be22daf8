"""Claims of tokens are forgotten when the tokens have expired by everybody's clock (decision 11)."""

from datetime import UTC, datetime, timedelta

import pytest

from service.postgres import connect
from service.settings import ServiceSettings
from service.sql import statements

PRUNE = statements("ingress.postgres")["prune_claims"]


@pytest.mark.parametrize(("ahead_minutes", "left"), [(0, 1), (10, 1), (-10, 2)])
async def test_a_wrong_clock_forgets_no_token_that_may_still_count(
    database_url: str, ahead_minutes: int, left: int
) -> None:
    clock = datetime.now(UTC) + timedelta(minutes=ahead_minutes)
    async with await connect(ServiceSettings(postgres_url=database_url), "prune") as connection:
        await connection.execute(
            "INSERT INTO token_claim (jti_hash, token_hash, expires_at) "
            "VALUES (%s, %s, now() - interval '5 minutes'), (%s, %s, now() + interval '2 minutes')",
            (bytes(32), bytes(32), b"1" * 32, bytes(32)),
        )
        await connection.execute(PRUNE, {"before": clock, "limit": 100})
        cursor = await connection.execute("SELECT count(*) FROM token_claim")
        assert await cursor.fetchone() == (left,)
