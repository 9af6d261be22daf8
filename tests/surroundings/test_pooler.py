"""PgBouncer between us and Postgres: sessions of our own, or a sentence."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from bitgo.client import reserve_body
from local.account import account_for_servers, open_for_reading, open_the_way
from local.child import Child
from local.ports import reserve_port
from local.ready import is_listening, wait_until
from schemas.words import Kind
from service.errors import EXIT_OPERATOR
from service.postgres import SERVER_LIMITS, connect
from tests.support.cli import run
from tests.support.system import System

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = pytest.mark.skipif(PGBOUNCER is None, reason="needs pgbouncer: `apt-get install pgbouncer`")

SETTINGS = """\
[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own_port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users.txt
pool_mode = {mode}
default_pool_size = 60
ignore_startup_parameters = options
"""


@asynccontextmanager
async def pooler(system: System, mode: str) -> AsyncIterator[None]:
    """Lets the system's processes reach their database through PgBouncer, and nothing else."""
    parts, own_port, direct = conninfo_to_dict(system.database_url), reserve_port(), system.database_url
    folder = system.folder.resolve() / "pgbouncer"
    folder.mkdir()
    (folder / "users.txt").write_text(f'"{parts["user"]}" "{parts["password"]}"\n')
    text = SETTINGS.format(host=parts["host"], port=parts["port"], own_port=own_port, folder=folder, mode=mode)
    (folder / "pgbouncer.ini").write_text(text)
    if account := account_for_servers():
        open_the_way(folder / "users.txt", account, print)
        open_for_reading(folder, account, print)
    command = [str(PGBOUNCER), folder / "pgbouncer.ini"]
    system.supervisor.start(Child(name="pgbouncer", argv=command, log=system.log("pgbouncer"), user=account))
    await wait_until(lambda: is_listening(own_port), "pgbouncer", system.log("pgbouncer"), print, 20)
    system.database_url = f"postgresql://{parts['user']}@127.0.0.1:{own_port}/{parts['dbname']}"
    try:
        yield
    finally:
        system.database_url = direct
        names = system.supervisor.pids()
        await system.supervisor.stop([name for name in names if "ingress" in name], ["processor-0"], ["pgbouncer"])


@pytest.mark.parametrize("mode", ["transaction", "statement"])
async def test_sessions_that_are_shared_are_refused(system: System, mode: str) -> None:
    async with pooler(system, mode):
        await system.processor(wait=False)
        await system.ingress(wait=False)
        async with asyncio.timeout(60):
            while len(system.ended) < 2:
                await asyncio.sleep(0.1)
        assert {("processor-0", EXIT_OPERATOR), ("ingress-0", EXIT_OPERATOR)} == set(system.ended)
        for name in ("processor-0", "ingress-0"):
            last = system.log(name).read_text().splitlines()[-1]
            assert "refused_to_run" in last
            assert "set its pool_mode to session" in last
            assert "Traceback" not in system.log(name).read_text()
        for verb in ("migrate", "verify", "rebuild", "dead-letters discard 0 0 --reason none"):
            ran = await run(
                *verb.split(),
                PROCESSOR_POSTGRES_URL=system.database_url,
                PROCESSOR_KAFKA_BOOTSTRAP_SERVERS=system.kafka,
            )
            assert (verb, EXIT_OPERATOR) == (verb, ran.status)
            assert "set its pool_mode to session" in ran.err


async def test_sessions_of_our_own_work_with_the_limits_that_the_pooler_dropped(system: System) -> None:
    async with pooler(system, "session"):
        assert 0 == (await run("migrate", PROCESSOR_POSTGRES_URL=system.database_url)).status
        await system.processor()
        async with await system.ingress() as bitgo:
            for _ in range(20):
                assert 200 == (await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))).status
        assert "limits_set_again" in system.log("processor-0").read_text()
        async with await connect(system.settings(), "test") as connection:
            for name in ("transaction_timeout", "lock_timeout", "default_transaction_isolation"):
                row = await (await connection.execute(f"SHOW {name}".encode())).fetchone()
                assert (SERVER_LIMITS[name],) == row
            with pytest.raises(psycopg.errors.TransactionTimeout):
                await connection.execute("SELECT pg_sleep(7)")


async def test_without_a_pooler_nothing_is_set_again(system: System) -> None:
    async with await connect(system.settings(), "test") as connection:
        row = await (await connection.execute("SHOW default_transaction_isolation")).fetchone()
        assert ("read committed",) == row
        marked = await (await connection.execute("SHOW allocations.limits")).fetchone()
        assert ("set",) == marked
