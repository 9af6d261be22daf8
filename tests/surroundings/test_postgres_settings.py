"""Settings of a role or a database that would change what a value reads as, or what a commit means."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from service.durability import check_commits
from service.errors import OperatorError
from service.migrations import migrate, migration_ids
from service.postgres import READINGS, SERVER_LIMITS, Connection, connect
from service.settings import ServiceSettings
from tests.support.own_postgres import OwnPostgres, own_postgres
from tests.support.servers import Servers

CHANGED = {
    "search_path": "elsewhere",
    "datestyle": "German, DMY",
    "intervalstyle": "sql_standard",
    "timezone": "Asia/Kolkata",
    "array_nulls": "off",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "standard_conforming_strings": "off",
    "client_encoding": "LATIN1",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "synchronous_commit": "off",
    "statement_timeout": "1ms",
    "idle_session_timeout": "1ms",
    "idle_in_transaction_session_timeout": "1ms",
    "lock_timeout": "1ms",
}
READ = """
    SELECT '2026-11-10 12:00+00'::timestamptz::text, '1 day 2 hours'::interval::text, '\\x00ff'::bytea::text,
           (0.1::float8 + 0.2::float8)::text, E'a' || 'b\\c', ('{NULL}'::text[])[1] IS NULL, 'ü€',
           to_regclass('journal')::text
"""


@pytest.fixture(params=["ROLE CURRENT_USER IN DATABASE {}", "DATABASE {}"])
def changed(database_url: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database with every setting changed, for its role or for itself."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        whose = sql.SQL(request.param).format(name)
        for setting, value in CHANGED.items():
            connection.execute(
                sql.SQL("ALTER {} SET {} = {}").format(whose, sql.Identifier(setting), sql.Literal(value))
            )
    yield database_url
    options = "-c statement_timeout=0 -c idle_session_timeout=0"
    with psycopg.connect(database_url, autocommit=True, options=options) as connection:
        connection.execute(sql.SQL("ALTER {} RESET ALL").format(whose))


async def opened(url: str) -> Connection:
    return await connect(ServiceSettings(postgres_url=url), "test")  # type: ignore[arg-type]


async def test_given_a_role_or_a_database_with_settings_of_its_own_then_ours_count(changed: str) -> None:
    async with await opened(changed) as connection:
        for name, value in SERVER_LIMITS.items():
            found = await (await connection.execute(f"SHOW {name}".encode())).fetchone()
            assert (name, (value.replace("10s", "10000"),)) == (name, found)
        row = await (await connection.execute("SHOW synchronous_commit")).fetchone()
        assert ("on",) == row


async def test_given_a_role_or_a_database_with_settings_of_its_own_then_every_value_reads_the_same(
    changed: str, servers: Servers, template: str
) -> None:
    async with await opened(servers.database_url(template)) as one, await opened(changed) as other:
        for each in (one, other):
            assert each.info.encoding == "utf-8"
        expected, found = [await (await each.execute(READ.encode())).fetchone() for each in (one, other)]
        assert expected == found
        assert "journal" == (found or ())[-1]


def test_given_a_search_path_of_the_role_s_own_then_the_tables_are_where_the_processes_look(
    servers: Servers,
) -> None:
    name = "migrated_elsewhere"
    servers.execute(f"CREATE DATABASE {name}")
    url = servers.database_url(name)
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE SCHEMA elsewhere")
            connection.execute(f"ALTER ROLE CURRENT_USER IN DATABASE {name} SET search_path = elsewhere".encode())
            connection.execute(f"ALTER ROLE CURRENT_USER IN DATABASE {name} SET statement_timeout = '1ms'".encode())
        assert migration_ids() == migrate(url)
        with psycopg.connect(url, options="-c statement_timeout=0") as connection:
            found = connection.execute("SELECT schemaname::text FROM pg_tables WHERE tablename = 'journal'")
            assert [("public",)] == found.fetchall()
    finally:
        servers.drop(name)


async def test_given_options_in_the_address_then_ours_count_and_others_are_left(database_url: str) -> None:
    url = make_conninfo(database_url, options="-c TimeZone=Asia/Kolkata -c work_mem=5MB")
    async with await opened(url) as connection:
        for name, value in (("TimeZone", READINGS["TimeZone"]), ("work_mem", "5MB")):
            assert (value,) == await (await connection.execute(f"SHOW {name}".encode())).fetchone()


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OwnPostgres]:
    async with own_postgres(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.mark.long
async def test_given_a_server_that_stops_waiting_for_the_disk_then_our_sessions_go_on_waiting(
    server: OwnPostgres,
) -> None:
    async with await opened(server.url) as connection:
        server.set(synchronous_commit="off")
        await asyncio.sleep(0.3)
        assert ("on",) == await (await connection.execute("SHOW synchronous_commit")).fetchone()
        async with await opened(server.url) as later:
            assert ("on",) == await (await later.execute("SHOW synchronous_commit")).fetchone()
    server.set(synchronous_commit="")


@pytest.mark.long
async def test_given_a_server_without_fsync_then_the_log_says_what_that_is_worth(
    server: OwnPostgres, capsys: pytest.CaptureFixture[str]
) -> None:
    async with await opened(server.url) as connection:
        await check_commits(connection)
        assert "weak_postgres" not in capsys.readouterr().out
        server.set(fsync="off", full_page_writes="off")
        await asyncio.sleep(0.3)
        await check_commits(connection)
    server.set(fsync="", full_page_writes="")
    said = capsys.readouterr().out
    assert "weak_postgres" in said
    assert "fsync" in said
    assert "full_page_writes" in said


@pytest.mark.long
async def test_given_sessions_that_check_no_foreign_key_then_they_are_refused(server: OwnPostgres) -> None:
    with psycopg.connect(server.superuser_url, autocommit=True) as connection:
        connection.execute("ALTER ROLE allocations SET session_replication_role = replica")
        with pytest.raises(OperatorError, match="session_replication_role is replica"):
            await opened(server.url)
        connection.execute("ALTER ROLE allocations RESET ALL")


@pytest.mark.long
@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
async def test_given_a_database_that_is_not_utf_8_then_it_is_refused(server: OwnPostgres, encoding: str) -> None:
    name = f"odd_{encoding.lower()}"
    with psycopg.connect(server.superuser_url, autocommit=True) as connection:
        connection.execute(
            f"CREATE DATABASE {name} OWNER allocations ENCODING '{encoding}' LOCALE 'C' LOCALE_PROVIDER libc "
            "TEMPLATE template0".encode()
        )
    url = make_conninfo(server.url, dbname=name)
    with pytest.raises(OperatorError, match=f"encoding is {encoding}"):
        migrate(url)
    async with await opened(url) as connection:
        with pytest.raises(OperatorError, match=f"encoding is {encoding}"):
            await check_commits(connection)
