"""Claims of tokens in one group: what was used before costs the others nothing (decision 11; contract, section 11)."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from ingress.auth.signatures import Token
from ingress.auth.token_replay import Claim, TokenReplay
from ingress.postgres.database import Database
from service.settings import ServiceSettings
from tests.support.own_postgres import own_postgres


@pytest.fixture
async def replay(database_url: str) -> AsyncIterator[TokenReplay]:
    database = Database(ServiceSettings(postgres_url=database_url), "test", lanes=2)  # type: ignore[arg-type]
    yield TokenReplay(database)
    await database.close()


def token(jti: str | None = None, text: bytes = b"1") -> Token:
    return Token(jti or str(uuid.uuid4()), time.time() + 60, text * 32)


async def claims(replay: TokenReplay, *tokens: Token) -> list[Claim]:
    deadline = asyncio.get_running_loop().time() + 10
    return await asyncio.gather(*[replay.claim(each, deadline) for each in tokens])


async def test_given_a_group_then_each_token_learns_what_it_is(replay: TokenReplay) -> None:
    used = token()
    assert [Claim.FIRST] == await claims(replay, used)
    fresh, collision = token(), token(used.jti, b"2")
    assert [Claim.REUSED, Claim.FIRST, Claim.COLLISION, Claim.REUSED] == await claims(
        replay, used, fresh, collision, fresh
    )


@pytest.mark.usefixtures("database_url")  # so that its height is known: it starts a server
async def test_given_nobody_can_say_which_token_came_first_then_a_fresh_one_of_the_group_counts(tmp_path: Path) -> None:
    """A role that may claim, and not read whose claim there is already."""
    async with own_postgres(tmp_path) as server:
        database = Database(ServiceSettings(postgres_url=server.url), "test", lanes=2)  # type: ignore[arg-type]
        used, role = token(), str(conninfo_to_dict(server.url)["user"])
        assert [Claim.FIRST] == await claims(TokenReplay(database), used)
        with psycopg.connect(server.superuser_url, autocommit=True) as connection:
            connection.execute("ALTER TABLE token_claim OWNER TO CURRENT_USER")
            connection.execute(f"GRANT INSERT, SELECT (jti_hash) ON token_claim TO {role}".encode())
        assert [Claim.FIRST, Claim.REUSED] == await claims(TokenReplay(database), token(), used)
        await database.close()
