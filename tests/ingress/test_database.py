"""Connections that are used by turns, and what becomes of the idle ones when the server goes away."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from ingress.database import Connection, Database
from service.errors import UnavailableError
from service.settings import ServiceSettings

NAME = "allocations-test-lanes"
LANES = 3


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(ServiceSettings(postgres_url=database_url), NAME, lanes=LANES)
    yield database
    await database.close()


async def backend(connection: Connection) -> int:
    cursor = await connection.execute("SELECT pg_backend_pid() FROM pg_sleep(0.05)")
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def all_lanes(database: Database) -> set[int]:
    return set(await asyncio.gather(*[database.run(backend) for _ in range(LANES)]))


def end_all(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s", (NAME,)
        )


async def test_the_connection_that_was_used_last_is_used_next(database: Database) -> None:
    assert LANES == len(await all_lanes(database))
    assert 1 == len({await database.run(backend) for _ in range(4)})


async def test_after_one_failure_every_connection_is_made_anew(database: Database, database_url: str) -> None:
    before = await all_lanes(database)
    end_all(database_url)
    with pytest.raises(UnavailableError):
        await database.run(backend)
    after = await all_lanes(database)
    assert LANES == len(after)
    assert not before & after


async def test_a_call_that_takes_too_long_is_cut_off(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(connection: Connection) -> None:
        await connection.execute("SELECT pg_sleep(2)")

    with monkeypatch.context() as impatient:
        impatient.setattr("ingress.database.ANSWER_SECONDS", 0.2)
        with pytest.raises(UnavailableError, match="in time"):
            await database.run(slow)
    assert LANES == len(await all_lanes(database))
