"""What whoever runs Postgres may do to us for a while: callers get 503, a sentence says why, and all heals again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bitgo.client import BitGo, reserve_body
from schemas.words import Kind
from tests.support.own_postgres import OwnPostgres, own_postgres
from tests.support.servers import Servers
from tests.support.system import System, running_system

pytestmark = pytest.mark.long
END_ALL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'allocations'"
CASES = {
    "the role may not log in": (
        "ALTER ROLE allocations NOLOGIN",
        "ALTER ROLE allocations LOGIN",
        "not permitted to log in",
    ),
    "the role has no connection left": (
        "ALTER ROLE allocations CONNECTION LIMIT 0",
        "ALTER ROLE allocations CONNECTION LIMIT -1",
        "too many connections for role",
    ),
    "the password has expired": (
        "ALTER ROLE allocations VALID UNTIL '2001-01-01'",
        "ALTER ROLE allocations VALID UNTIL 'infinity'",
        "password authentication failed",
    ),
    "the password is another": (
        "ALTER ROLE allocations PASSWORD 'another'",
        "ALTER ROLE allocations PASSWORD '{password}'",
        "password authentication failed",
    ),
    "the database takes no connections": (
        "ALTER DATABASE allocations ALLOW_CONNECTIONS false",
        "ALTER DATABASE allocations ALLOW_CONNECTIONS true",
        "not currently accepting connections",
    ),
    "the database has no connection left": (
        "ALTER DATABASE allocations CONNECTION LIMIT 0",
        "ALTER DATABASE allocations CONNECTION LIMIT -1",
        "too many connections for database",
    ),
    "the database has another name": (
        f"{END_ALL}; ALTER DATABASE allocations RENAME TO elsewhere",
        "ALTER DATABASE elsewhere RENAME TO allocations",
        "does not exist",
    ),
    "the right to connect is gone": (
        "REVOKE CONNECT ON DATABASE allocations FROM PUBLIC, allocations",
        "GRANT CONNECT ON DATABASE allocations TO PUBLIC, allocations",
        "permission denied for database",
    ),
}
"""What is done, how it is undone, and what /readyz of the ingress says meanwhile."""


@dataclass(frozen=True)
class Site:
    server: OwnPostgres
    folder: Path
    system: System
    bitgo: BitGo

    def execute(self, statements: str) -> None:
        password = conninfo_to_dict(self.server.url)["password"]
        address = make_conninfo(self.server.superuser_url, dbname="postgres")
        with psycopg.connect(address, autocommit=True) as connection:
            for statement in statements.replace("{password}", str(password)).split("; "):
                connection.execute(statement.encode())


@pytest.fixture(scope="module")
async def site(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    folder = tmp_path_factory.mktemp("refusals")
    async with own_postgres(folder) as server, running_system(servers, server.url, folder / "system") as system:
        await system.processor()
        async with await system.ingress(answer_timeout_seconds="1") as bitgo:
            yield Site(server, folder / "postgres" / "data", system, bitgo)


async def is_refused(site: Site, words: str) -> None:
    """Every call gets 503, and each process says why."""
    async with asyncio.timeout(30):
        for name in ("ingress-0", "processor-0"):
            while words not in str((await site.system.readyz(name))[1].get("problems")):
                reply = await site.bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))
                assert reply.status in (200, 503), reply
                await asyncio.sleep(0.1)


async def heals(site: Site) -> None:
    async with asyncio.timeout(60):
        for name in ("ingress-0", "processor-0"):
            await site.system.ready(name)
        while (reply := await site.bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))).status != 200:
            assert 503 == reply.status, reply
            await asyncio.sleep(0.1)
    assert [] == site.system.ended


@pytest.mark.parametrize("case", CASES)
async def test_given_a_server_that_refuses_us_then_503_and_a_sentence_until_it_does_not(site: Site, case: str) -> None:
    begin, end, words = CASES[case]
    site.execute(begin)
    try:
        site.execute(END_ALL)
        writing = asyncio.create_task(site.bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION)))
        assert 503 == (await writing).status
        await is_refused(site, words)
    finally:
        site.execute(end)
    await heals(site)


async def test_given_a_server_that_wants_tls_then_503_and_a_sentence_until_it_does_not(site: Site) -> None:
    with rules(
        site.folder, "hostssl all allocations 127.0.0.1/32 scram-sha-256\nhost all postgres 127.0.0.1/32 trust\n"
    ):
        site.execute(f"SELECT pg_reload_conf(); {END_ALL}")
        await asyncio.sleep(0.3)
        site.execute(END_ALL)
        await is_refused(site, "no encryption")
    site.execute("SELECT pg_reload_conf()")
    await heals(site)


@contextmanager
def rules(folder: Path, text: str) -> Iterator[None]:
    file = folder / "pg_hba.conf"
    before = file.read_text()
    file.write_text(text)
    try:
        yield
    finally:
        file.write_text(before)


async def test_given_that_every_session_is_ended_again_and_again_then_nothing_is_refused_for_good(site: Site) -> None:
    async def end_all() -> None:
        for _ in range(20):
            site.execute(END_ALL)
            await asyncio.sleep(0.1)

    await during(site, end_all)
    await heals(site)


async def during(site: Site, trouble: Callable[[], Awaitable[None]]) -> None:
    """Every call is answered 200 or 503."""
    task = asyncio.ensure_future(trouble())
    while not task.done():
        reply = await site.bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))
        assert reply.status in (200, 503), reply
    await task


async def test_given_a_schema_that_we_may_not_use_then_it_heals_when_we_may(site: Site) -> None:
    """Postgres then says that there are no such tables, as if nothing had been migrated."""
    with psycopg.connect(site.server.superuser_url, autocommit=True) as connection:
        connection.execute("REVOKE USAGE ON SCHEMA public FROM PUBLIC, pg_database_owner")
        try:
            site.execute(END_ALL)
            await is_refused(site, "does not exist")
        finally:
            connection.execute("GRANT USAGE ON SCHEMA public TO PUBLIC, pg_database_owner")
    await heals(site)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"host": "no-such-host.invalid"}, "no-such-host"), ({"options": "-c no_such=1"}, "no_such")],
    ids=["a name that is not known", "a setting that is not known"],
)
async def test_given_an_address_that_leads_nowhere_then_a_start_waits_and_says_so(
    site: Site, change: dict[str, str], words: str
) -> None:
    url = make_conninfo(site.server.url, **change)
    await site.system.processor("processor-1", wait=False, postgres_url=url)
    try:
        async with asyncio.timeout(30):
            while words not in str((await site.system.readyz("processor-1"))[1].get("problems")):
                await asyncio.sleep(0.2)
    finally:
        await site.system.supervisor.remove("processor-1")
