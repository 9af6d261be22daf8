"""A primary and a streaming standby, both embedded, with a proxy in front of them and one between them."""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg.conninfo import make_conninfo

from local.account import account_for_servers
from local.child import Child, run
from local.postgres import Postgres, binaries
from local.supervisor import Supervisor
from tests.faults.run.proxy import Proxy

STANDBY = "standby"
PROMOTION_SECONDS = 30


@dataclass
class Pair:
    """`front` leads clients to the primary, and after `fail_over` to what was the standby; `between` is the standby's
    way to the primary.
    """

    supervisor: Supervisor
    primary: Postgres
    standby: Postgres
    front: Proxy
    between: Proxy

    @property
    def url(self) -> str:
        """Through the proxy in front."""
        return _at(self.primary, f"127.0.0.1:{self.front.port}")

    @property
    def url_of_both(self) -> str:
        """Past the proxy: libpq itself looks for the one that takes writes."""
        hosts = f"127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}"
        return f"{_at(self.primary, hosts)}?target_session_attrs=read-write"

    async def wait_for_the_standby(self) -> None:
        """Until the primary's commits wait for it."""
        self.on(self.primary, f"ALTER SYSTEM SET synchronous_standby_names = '{STANDBY}'", "SELECT pg_reload_conf()")
        async with asyncio.timeout(30):
            while not self.ask(self.primary, "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"):
                await asyncio.sleep(0.05)

    async def has_all(self) -> None:
        """Until the standby has replayed what the primary has."""
        ((end,),) = self.ask(self.primary, "SELECT pg_current_wal_lsn()")
        async with asyncio.timeout(30):
            while self.ask(self.standby, f"SELECT pg_last_wal_replay_lsn() < '{end}'") != [(False,)]:
                await asyncio.sleep(0.05)

    async def fail_over(self) -> None:
        """SIGKILL to the primary, for good; the standby is promoted, and the proxy in front leads to it."""
        self.supervisor.signal(_name(self.primary), signal.SIGKILL)
        await asyncio.sleep(0.5)
        assert self.ask(self.standby, f"SELECT pg_promote(true, {PROMOTION_SECONDS})") == [(True,)]
        self.on(self.standby, "ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
        self.front.lead_to(self.standby.port)

    async def follow(self) -> None:
        """After `fail_over`: what was the primary becomes the standby of the other, from a new copy."""
        self.primary, self.standby = self.standby, self.primary
        self.between.lead_to(self.primary.port)
        await self.supervisor.remove(_name(self.standby))
        await _copy(self.primary, self.standby, self.between.port)
        self.supervisor.start(_server(self.standby))
        await self.standby.wait_ready()

    def on(self, server: Postgres, *statements: str) -> None:
        """As the superuser."""
        with psycopg.connect(_superuser(server), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def ask(self, server: Postgres, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(_superuser(server), autocommit=True) as connection:
            return connection.execute(statement.encode()).fetchall()


@asynccontextmanager
async def pair(folder: Path) -> AsyncIterator[Pair]:
    """Both run, and the standby streams; no commit waits for it."""
    primary, standby = Postgres(folder / "postgres-0", print), Postgres(folder / "postgres-1", print)
    async with AsyncExitStack() as stack:
        stack.callback(primary.close)
        stack.callback(standby.close)
        await asyncio.gather(primary.prepare(), standby.prepare())
        front = await stack.enter_async_context(Proxy(primary.port))
        between = await stack.enter_async_context(Proxy(primary.port))
        supervisor = await stack.enter_async_context(Supervisor(print))
        supervisor.start(_server(primary))
        await primary.wait_ready()
        await _copy(primary, standby, between.port)
        supervisor.start(_server(standby))
        await standby.wait_ready()
        yield Pair(supervisor, primary, standby, front, between)


def _name(server: Postgres) -> str:
    """As it was called first, whichever of both it is now."""
    return server.folder.parent.name


def _server(server: Postgres) -> Child:
    """SIGQUIT at the end: nobody needs what it holds."""
    return replace(server.child(), name=_name(server), restarted=False, stop_signal=signal.SIGQUIT)


async def _copy(primary: Postgres, standby: Postgres, port: int) -> None:
    """The primary's cluster, roles and password in place of those that were made; it follows through `port`."""
    cluster = standby.folder / "data"
    shutil.rmtree(cluster)
    source = make_conninfo(
        host="127.0.0.1", port=port, user="postgres", password=primary.password, application_name=STANDBY
    )
    arguments = ("-D", cluster, "-d", source, "--checkpoint=fast", "--wal-method=stream", "--write-recovery-conf")
    copying = Child(
        name="pg_basebackup",
        argv=[binaries() / "pg_basebackup", *arguments],
        log=standby.log.with_name("pg_basebackup.log"),
        cwd=standby.folder,
        user=account_for_servers(),
    )
    await run(copying)
    standby.password = primary.password


def _at(server: Postgres, hosts: str) -> str:
    return urlunsplit(urlsplit(server.url)._replace(netloc=f"allocations:{server.password}@{hosts}"))


def _superuser(server: Postgres) -> str:
    return make_conninfo(server.url, user="postgres", dbname="postgres")
