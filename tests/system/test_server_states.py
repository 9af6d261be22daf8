"""What Postgres may be like for a while: callers get 503, no process ends, and all goes on by itself."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from bitgo.client import BitGo, Reply, reserve_body
from schemas.words import Kind
from tests.support.servers import Servers
from tests.support.system import System, shared_system

END_ALL = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid() AND usename = current_user"
)
ROLE = "ALTER ROLE CURRENT_USER IN DATABASE {database}"
RAISES = "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE $$no$$;END'"
FORMATS = ("TimeZone = 'Asia/Kolkata'", "DateStyle = 'German'", "bytea_output = 'escape'", "client_encoding = 'latin1'")
STATES = {
    "every connection is ended": (END_ALL, "SELECT 1"),
    "a procedure is missing": (
        "ALTER PROCEDURE commit_batch RENAME TO elsewhere",
        "ALTER PROCEDURE elsewhere RENAME TO commit_batch",
    ),
    "a table is missing": ("ALTER TABLE ledger RENAME TO elsewhere", "ALTER TABLE elsewhere RENAME TO ledger"),
    "a constraint refuses every row": (
        "ALTER TABLE journal ADD CONSTRAINT never CHECK (false) NOT VALID",
        "ALTER TABLE journal DROP CONSTRAINT never",
    ),
    "a trigger raises": (
        f"{RAISES}; CREATE TRIGGER no BEFORE INSERT ON journal EXECUTE FUNCTION no()",
        "DROP TRIGGER no ON journal; DROP FUNCTION no",
    ),
    "a column is added": ("ALTER TABLE allocation ADD COLUMN more text", "ALTER TABLE allocation DROP COLUMN more"),
    "transactions are read-only": (
        f"{ROLE} SET default_transaction_read_only = on; {END_ALL}",
        f"{ROLE} RESET default_transaction_read_only; {END_ALL}",
    ),
    "transactions are serializable": (
        f"{ROLE} SET default_transaction_isolation = serializable; {END_ALL}",
        f"{ROLE} RESET default_transaction_isolation; {END_ALL}",
    ),
    "values read in another way": (
        f"{'; '.join(f'{ROLE} SET {setting}' for setting in FORMATS)}; {END_ALL}",
        f"{ROLE} RESET ALL; {END_ALL}",
    ),
    "idle connections are ended": (
        f"{ROLE} SET idle_session_timeout = '500ms'; {END_ALL}",
        f"{ROLE} RESET idle_session_timeout; {END_ALL}",
    ),
    "statements are given little time": (
        f"{ROLE} SET statement_timeout = '1ms'; {END_ALL}",
        f"{ROLE} RESET statement_timeout; {END_ALL}",
    ),
}


@pytest.fixture(scope="module")
async def running(servers: Servers, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with shared_system(servers, template, tmp_path_factory.mktemp("states")) as system:
        await system.processor()
        yield system


@pytest.fixture(scope="module")
async def bitgo(running: System) -> AsyncIterator[BitGo]:
    async with await running.ingress(answer_timeout_seconds="1") as bitgo:
        yield bitgo


@pytest.mark.parametrize("state", STATES)
async def test_a_state_of_the_server_passes(running: System, bitgo: BitGo, state: str) -> None:
    begin, end = STATES[state]
    bodies = [reserve_body(Kind.ALLOCATION, notes="→ ü \\ ' \"") for _ in range(4)]
    _execute(running, begin)
    replies = await asyncio.gather(*(_reserve(bitgo, body, 0.3 * n) for n, body in enumerate(bodies)))
    assert [] == [reply.body for reply in replies if reply.status not in (200, 503)]
    _execute(running, end)
    async with asyncio.timeout(60):
        for body in bodies:
            while (reply := await bitgo.reserve(Kind.ALLOCATION, body)).status == 503:
                await asyncio.sleep(0.5)
            assert (200, "reserved") == (reply.status, reply.body["status"])
    assert [] == running.ended
    await running.ready("processor-0")
    await running.ready("ingress-0")


async def _reserve(bitgo: BitGo, body: dict[str, Any], after_seconds: float) -> Reply:
    await asyncio.sleep(after_seconds)
    return await bitgo.reserve(Kind.ALLOCATION, body)


def _execute(system: System, statements: str) -> None:
    options = "-c default_transaction_read_only=off -c statement_timeout=0 -c search_path=public"
    with psycopg.connect(system.database_url, autocommit=True, client_encoding="utf8", options=options) as connection:
        name = connection.info.dbname
        for statement in statements.replace("{database}", name).split("; "):
            connection.execute(statement.encode())
