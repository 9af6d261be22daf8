"""The table of connection tokens: only hashes, and expired ones for a day."""

from datetime import timedelta

from ingress.postgres import connection_tokens as table
from service.postgres import connect
from service.settings import ServiceSettings


async def test_given_tokens_that_expired_then_they_are_kept_for_a_day(database_url: str) -> None:
    async with await connect(ServiceSettings(postgres_url=database_url), "tokens") as connection:
        for account in ("old", "recent", "new"):
            new = await table.issue(
                connection,
                partners_connection_id=account,
                partners_client_id="user",
                lifetime=timedelta(minutes=15),
                issued_by="me",
            )
            assert new.token not in str(await (await connection.execute("SELECT * FROM connection_token")).fetchall())
        for account, ago in (("old", "25 hours"), ("recent", "23 hours")):
            await connection.execute(
                "UPDATE connection_token SET expires_at = now() - %s::interval WHERE partners_connection_id = %s",
                (ago, account),
            )
        assert ["new"] == [each.partners_connection_id for each in await table.listed(connection)]
        assert 1 == await table.prune(connection, limit=10)
        assert await table.find(connection, token_hash=new.token_hash) is not None
        assert await table.revoke(connection, token_hash=new.token_hash)
        assert await table.find(connection, token_hash=new.token_hash) is None
        cursor = await connection.execute("SELECT partners_connection_id FROM connection_token ORDER BY 1")
        assert [("new",), ("recent",)] == await cursor.fetchall()
