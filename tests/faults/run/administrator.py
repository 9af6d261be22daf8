"""What only Postgres's superuser may do: settings of the whole server, and a role without any right."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from local.postgres import Postgres

DEFAULTS: Final = {"default_transaction_read_only": "off", "synchronous_standby_names": ""}
"""The settings that are changed in a run, with what they are otherwise."""
STRANGER: Final = "stranger"
PATIENCE_SECONDS: Final = 120.0
OWN: Final = "-c default_transaction_read_only=off -c synchronous_commit=local"
"""Whatever the server is set to, these connections write and wait for no standby."""

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


async def administrator(postgres: Postgres) -> Connection:
    url = make_conninfo(postgres.url, user="postgres", options=OWN, connect_timeout=5)
    return await psycopg.AsyncConnection.connect(url, autocommit=True)


async def insist(postgres: Postgres, *statements: sql.SQL | sql.Composed) -> None:
    """Run statements that may be repeated, as soon as Postgres lets us: another fault may have taken it away."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            async with await administrator(postgres) as connection:
                for each in statements:
                    await connection.execute(each)
        except psycopg.Error:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)
        else:
            return


@asynccontextmanager
async def setting(postgres: Postgres, name: str, value: str) -> AsyncIterator[None]:
    """The whole server is set otherwise for a while; a restart would not end that, so it is set back come what may."""
    change = sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value))
    try:
        await insist(postgres, change, sql.SQL("SELECT pg_reload_conf()"))
        yield
    finally:
        await reset(postgres, name)


async def reset(postgres: Postgres, *names: str) -> None:
    """Set back, until new connections see it."""
    changes = [sql.SQL("ALTER SYSTEM RESET {}").format(sql.Identifier(name)) for name in names]
    while True:
        await insist(postgres, *changes, sql.SQL("SELECT pg_reload_conf()"))
        if await _seen(postgres, names) == [DEFAULTS[name] for name in names]:
            return
        await asyncio.sleep(0.05)


async def _seen(postgres: Postgres, names: tuple[str, ...]) -> list[str]:
    """Settings as a connection of the application's has them; none when it gets no connection."""
    try:
        async with await psycopg.AsyncConnection.connect(postgres.url, connect_timeout=5) as connection:
            cursor = await connection.execute(
                "SELECT current_setting(name) FROM unnest(%s::text[]) AS name", (list(names),)
            )
            return [row[0] for row in await cursor.fetchall()]
    except psycopg.OperationalError:
        return []


@asynccontextmanager
async def stranger(postgres: Postgres) -> AsyncIterator[str]:
    """The address of a role that may connect, and nothing else."""
    role, password = sql.Identifier(STRANGER), secrets.token_urlsafe(24)
    await insist(
        postgres,
        sql.SQL("DROP ROLE IF EXISTS {}").format(role),
        sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(password)),
    )
    try:
        yield make_conninfo(postgres.url, user=STRANGER, password=password, options="-c synchronous_commit=off")
    finally:
        await insist(postgres, sql.SQL("DROP ROLE IF EXISTS {}").format(role))
