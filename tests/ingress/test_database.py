"""Connections that are used by turns, and what becomes of the idle ones when the server goes away."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from ingress.postgres.database import Connection, Database
from ingress.postgres.reached import Reached
from service.errors import UnavailableError
from service.log_checks import LogIdentity
from service.settings import ServiceSettings

NAME = "allocations-test-lanes"
LANES = 3


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Without the server's own limits on time."""
    database = Database(ServiceSettings(postgres_url=database_url), NAME, lanes=LANES, limits={})
    yield database
    await database.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Until it is undone."""
    monkeypatch.setattr("ingress.postgres.database.ANSWER_SECONDS", 0.3)
    return monkeypatch


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


async def test_an_idle_connection_that_the_server_ended_fails_nobody(database: Database, database_url: str) -> None:
    before = await all_lanes(database)
    end_all(database_url)
    await asyncio.sleep(0.1)
    after = await all_lanes(database)
    assert LANES == len(after)
    assert not before & after


async def test_after_one_failure_every_connection_is_made_anew(database: Database) -> None:
    async def fails(connection: Connection) -> None:
        await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    before = await all_lanes(database)
    with pytest.raises(UnavailableError):
        await database.run(fails)
    after = await all_lanes(database)
    assert LANES == len(after)
    assert not before & after


async def test_whatever_postgres_refuses_is_unavailable(database: Database) -> None:
    async def refused(connection: Connection) -> None:
        await connection.execute("SELECT * FROM somewhere_else")

    with pytest.raises(UnavailableError, match="does not exist"):
        await database.run(refused)
    assert LANES == len(await all_lanes(database))


async def test_another_logs_database_is_not_asked(database_url: str) -> None:
    """Nor one that a rebuild is at work on, which has no identity yet: what it lacks would be answered 404."""
    identity = LogIdentity("cluster", "commands", 8)
    database = Database(ServiceSettings(postgres_url=database_url), NAME, lanes=1, identity=identity)
    with psycopg.connect(database_url, autocommit=True) as connection:
        for cluster in (None, "another", "cluster"):
            connection.execute("DELETE FROM log_identity")
            if cluster:
                connection.execute("INSERT INTO log_identity VALUES (true, %s, 'commands', 8)", (cluster,))
            if cluster == "cluster":
                assert await database.run(backend)
            else:
                with pytest.raises(UnavailableError, match="not the state of our log"):
                    await database.run(backend)
    await database.close()


async def test_given_tables_that_are_behind_what_was_answered_then_they_are_not_asked_until_they_have_caught_up(
    database_url: str,
) -> None:
    reached = Reached()
    database = Database(ServiceSettings(postgres_url=database_url), NAME, lanes=1, reached=reached)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO watermark SELECT n, 5, sha256('') FROM generate_series(0, 1) AS n")
        assert await database.run(backend)
        reached.note({0: 5, 1: 6})
        reached.note({1: 4})
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s", (NAME,)
        )
        while backends(database_url):
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.1)
        for _ in range(2):
            with pytest.raises(UnavailableError, match="partition 1 was applied up to 6, and is up to 5"):
                await database.run(backend)
        connection.execute("UPDATE watermark SET next_offset = 6")
        assert await database.run(backend)
    await database.close()


async def slow(connection: Connection) -> None:
    await connection.execute("SELECT pg_sleep(60)")


def backends(database_url: str) -> int:
    with psycopg.connect(database_url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", (NAME,)
        ).fetchone()
    assert row is not None
    return int(row[0])


async def test_a_call_that_takes_too_long_goes_on_without_its_caller_and_another_takes_its_place(
    database: Database, database_url: str, impatient: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnavailableError, match="in time"):
        await database.run(slow)
    impatient.undo()
    assert LANES == len(await all_lanes(database))
    assert LANES + 1 == backends(database_url)


async def test_however_many_calls_are_abandoned_connections_are_bounded_and_come_back(
    database: Database, database_url: str, impatient: pytest.MonkeyPatch
) -> None:
    for _ in range(2 * LANES):
        with pytest.raises(UnavailableError, match="in time"):
            await database.run(slow)
    for _ in range(3):
        with pytest.raises(UnavailableError, match="every connection waits"):
            await database.run(backend)
    impatient.undo()
    assert 2 * LANES == backends(database_url)
    end_all(database_url)
    await asyncio.sleep(0.2)
    assert LANES == len(await all_lanes(database))
    assert LANES == backends(database_url)
    assert [await database.run(backend)]


@pytest.mark.usefixtures("impatient")
async def test_at_the_end_abandoned_calls_are_dropped_and_not_cancelled(database: Database, database_url: str) -> None:
    """The server goes on with them: it was not asked to stop."""
    with pytest.raises(UnavailableError, match="in time"):
        await database.run(slow)
    async with asyncio.timeout(20):
        await database.close()
    assert 1 == backends(database_url)
    end_all(database_url)


async def test_given_a_caller_that_is_cancelled_as_its_call_ends_then_the_connection_is_used_again(
    database: Database,
) -> None:
    async def caller() -> None:
        me = asyncio.current_task()
        assert me is not None

        async def work(connection: Connection) -> None:
            await connection.execute("SELECT 1")
            asyncio.get_running_loop().call_soon(me.cancel)

        await database.run(work)

    for _ in range(LANES):
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(caller())
    assert LANES == len(await all_lanes(database))
