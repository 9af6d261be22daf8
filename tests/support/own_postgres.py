"""A Postgres of a test's own, whose settings it may change."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from local.postgres import Postgres
from local.supervisor import Supervisor
from service.migrations import migrate


@dataclass(frozen=True)
class OwnPostgres:
    """`url` is the application's role, on a migrated database."""

    url: str
    superuser_url: str

    def set(self, **settings: str) -> None:
        """Change settings of the server, for connections that there are too; an empty value puts one back."""
        with psycopg.connect(self.superuser_url, autocommit=True) as connection:
            for name, value in settings.items():
                change = f"SET {name} = '{value}'" if value else f"RESET {name}"
                connection.execute(f"ALTER SYSTEM {change}".encode())
            connection.execute("SELECT pg_reload_conf()")


@asynccontextmanager
async def own_postgres(folder: Path, **settings: str) -> AsyncIterator[OwnPostgres]:
    """`settings` are those that a server takes at its start only."""
    postgres = Postgres(folder, print)
    await postgres.prepare()
    try:
        async with Supervisor(print) as supervisor:
            child = postgres.child()
            options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
            supervisor.start(replace(child, argv=[*child.argv, *options], stop_signal=signal.SIGQUIT))
            await postgres.wait_ready()
            migrate(postgres.url)
            yield OwnPostgres(postgres.url, _of(postgres.url, "postgres"))
    finally:
        postgres.close()


def _of(url: str, role: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{role}:{parts.password}@{parts.hostname}:{parts.port}"))
