"""The real Postgres: what survives a kill, what an interrupted first start leaves, who may do what."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest

from local.account import account_for_servers
from local.child import Child
from local.folder import hold
from local.postgres import Postgres
from local.report import LocalError
from local.supervisor import Supervisor

Appears = Callable[[Path], Awaitable[None]]
ROOT = os.geteuid() == 0


@asynccontextmanager
async def running(data: Path, said: list[str]) -> AsyncIterator[tuple[Postgres, Supervisor]]:
    postgres = Postgres(data, said.append)
    await postgres.prepare()
    async with Supervisor(said.append) as supervisor:
        supervisor.start(postgres.child())
        await postgres.wait_ready()
        yield postgres, supervisor
    postgres.close()


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


async def ask(url: str, query: LiteralString) -> list[tuple[Any, ...]]:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute(query)
        return await cursor.fetchall() if cursor.description else []


async def test_rows_and_address_survive_a_kill_and_a_stop(tmp_path: Path, said: list[str]) -> None:
    async with running(tmp_path, said) as (postgres, supervisor):
        url = postgres.url
        await ask(url, "CREATE TABLE account (name text)")
        await ask(url, "INSERT INTO account VALUES ('before the kill')")
        pid = supervisor.pids()["postgres"]
        supervisor.signal("postgres", signal.SIGKILL)
        await supervisor.restarted("postgres", pid)
        await postgres.wait_ready()
        await ask(url, "INSERT INTO account VALUES ('after the kill')")
    async with running(tmp_path, said) as (postgres, _):
        assert postgres.url == url
        assert await ask(url, "SELECT name FROM account") == [("before the kill",), ("after the kill",)]
        postgres.close()
        with pytest.raises(LocalError, match="in use"):
            await hold(postgres.folder, said.append, timeout_seconds=0)


async def test_a_server_that_lost_its_postmaster_over_and_over_comes_back(tmp_path: Path, said: list[str]) -> None:
    async with running(tmp_path, said) as (postgres, supervisor):
        connection = await psycopg.AsyncConnection.connect(postgres.url)
        await connection.execute("SELECT 1")
        for _ in range(3):
            pid = supervisor.pids()["postgres"]
            supervisor.signal("postgres", signal.SIGKILL)
            await supervisor.restarted("postgres", pid)
        await postgres.wait_ready()
        await connection.close()


async def test_the_role_owns_its_database_and_is_no_superuser(tmp_path: Path, said: list[str]) -> None:
    async with running(tmp_path, said) as (postgres, _):
        (role,) = await ask(postgres.url, "SELECT rolname, rolsuper, rolcreatedb FROM pg_roles WHERE rolname = user")
        assert role == ("allocations", False, True)
        (database,) = await ask(
            postgres.url,
            "SELECT datname, pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datlocprovider::text, datlocale"
            " FROM pg_database WHERE datname = current_database()",
        )
        assert database == ("allocations", "allocations", "UTF8", "b", "C.UTF-8")
        superuser = postgres.url.replace("//allocations:", "//postgres:")
        settings: dict[str, str] = dict(await ask(superuser, "SELECT name, setting FROM pg_settings"))
        assert [settings[name] for name in ("fsync", "listen_addresses", "unix_socket_directories", "TimeZone")] == [
            "on", "127.0.0.1", "", "UTC",
        ]  # fmt: skip
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            await ask(postgres.url.replace(postgres.password, "wrong"), "SELECT 1")
        assert mode(tmp_path / "postgres/password") == 0o600
        assert postgres.password not in (tmp_path / "logs/postgres-init.log").read_text()


PREPARE = """
import asyncio, sys
from pathlib import Path
from typing import Any, LiteralString
from local.account import account_for_servers
from local.child import Child
from local.folder import hold
from local.postgres import Postgres
from local.report import LocalError
asyncio.run(Postgres(Path(sys.argv[1]), print).prepare())
"""


@pytest.mark.parametrize("sign", ["PG_VERSION", "pg_hba.conf", "global/1262"])
async def test_a_kill_during_the_first_start_leaves_a_folder_that_works(
    tmp_path: Path, said: list[str], appears: Appears, sign: str
) -> None:
    first = subprocess.Popen([sys.executable, "-c", PREPARE, tmp_path], stdout=subprocess.DEVNULL)  # noqa: ASYNC220, S603
    unfinished, whole = tmp_path / "postgres/data.unfinished", tmp_path / "postgres/data"
    with first:
        await appears(unfinished / sign)
        first.kill()
    assert not whole.exists()
    async with running(tmp_path, said) as (postgres, _):
        assert await ask(postgres.url, "SELECT 1") == [(1,)]


async def test_a_pid_file_that_names_a_living_stranger_does_not_matter(
    tmp_path: Path, said: list[str], supervisor: Supervisor
) -> None:
    postgres = Postgres(tmp_path, said.append)
    await postgres.prepare()
    postgres.close()
    pid = supervisor.start(Child(name="stranger", argv=["sleep", "60"], log=postgres.log, user=account_for_servers()))
    (tmp_path / "postgres/data/postmaster.pid").write_text(f"{pid}\n")
    async with running(tmp_path, said) as (postgres, _):
        assert await ask(postgres.url, "SELECT 1") == [(1,)]


@pytest.mark.skipif(not ROOT, reason="only root runs Postgres as somebody else")
async def test_as_root_the_server_is_somebody_else_and_closed_folders_are_only_opened_for_passage(
    tmp_path: Path, said: list[str], request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(partial(os.umask, os.umask(0o077)))
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    async with running(home / "data", said) as (_, supervisor):
        status = Path(f"/proc/{supervisor.pids()['postgres']}/status").read_text()  # noqa: ASYNC240
        assert not re.search(r"^Uid:.*\t0\b", status, re.MULTILINE)
    assert mode(home) == 0o701
    assert sum(line.startswith(f"{home}: ") for line in said) == 1
