"""Postgres: whether it answers, how old it is, what a commit means on it, what is between, and whether it has room."""

from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from cli.doctor.finding import Finding, fail, ok, warn
from service.errors import OperatorError
from service.migrations import check_migrations, migration_ids
from service.pooling import check_sessions
from service.postgres import Connection, connect
from service.settings import ServiceSettings
from service.sql import statements

VERSION: Final = 17
INGRESS_CONNECTIONS: Final = 17
PROCESSOR_CONNECTIONS: Final = 8
"""The most that one process has, as docs/operations.md says."""

_SQL: Final = statements("cli.doctor")


async def _connected(settings: ServiceSettings) -> Connection:
    return await connect(settings, "allocations-checks")


async def check_reach(settings: ServiceSettings) -> list[Finding]:
    check = "postgres"
    async with await _connected(settings) as connection:
        found = [*_age(connection), *_tls(settings, connection)]
        size = await (await connection.execute(_SQL["size"])).fetchone()
    found.append(ok(check, f"the database has {size[0] if size else '?'}; free disk can not be seen from here"))
    return found


def _age(connection: Connection) -> list[Finding]:
    check, info = "postgres", connection.info
    version = info.server_version // 10_000
    if version < VERSION:
        return [fail(check, f"Postgres {version}", f"{VERSION} or later: older ones have no transaction_timeout")]
    if (encoding := info.parameter_status("server_encoding")) != "UTF8":
        return [fail(check, f"the database's encoding is {encoding}", "create it with ENCODING 'UTF8'")]
    return [ok(check, f"Postgres {version}, UTF-8")]


def _tls(settings: ServiceSettings, connection: Connection) -> list[Finding]:
    mode = conninfo_to_dict(settings.postgres_address).get("sslmode") or "prefer"
    if not connection.pgconn.ssl_in_use:
        return [warn("postgres", f"the connection has no TLS (sslmode={mode})", "…_POSTGRES_SSLMODE=verify-full")]
    if mode != "verify-full":
        return [
            warn(
                "postgres",
                f"TLS with sslmode={mode}: the server may be somebody else",
                "…_POSTGRES_SSLMODE=verify-full, and sslrootcert in the address",
            )
        ]
    return [ok("postgres", "TLS, and the server's certificate is verified")]


async def check_settings(settings: ServiceSettings) -> list[Finding]:
    """Whether it can be written, and whether what is written reaches the disk."""
    check = "postgres settings"
    async with await _connected(settings) as connection:
        values = await _values(
            connection, "fsync", "full_page_writes", "default_transaction_read_only", "data_checksums"
        )
        row = await (await connection.execute(_SQL["size"])).fetchone()
    found = [
        fail(check, f"{name} is off: a power cut may destroy the database", f"ALTER SYSTEM RESET {name}, and reload")
        for name in ("fsync", "full_page_writes")
        if values[name] == "off"
    ]
    if row and row[1]:
        found.append(
            fail(
                check,
                "this is a standby",
                "let the address lead to the primary, or add target_session_attrs=read-write",
            )
        )
    if values["default_transaction_read_only"] == "on":
        found.append(
            fail(
                check,
                "default_transaction_read_only is on for this role here",
                "RESET it",
            )
        )
    if values["data_checksums"] == "off":
        found.append(warn(check, "data_checksums is off: a damaged page is not noticed", "`pg_checksums --enable`"))
    return found or [ok(check, "what is written reaches the disk, and can be checked")]


async def check_commits(settings: ServiceSettings) -> list[Finding]:
    """What a commit waits for, and what a failover would lose."""
    check = "commits"
    async with await _connected(settings) as connection:
        values = await _values(
            connection, "synchronous_commit", "synchronous_standby_names", "wal_level", "archive_mode"
        )
        row = await (await connection.execute(_SQL["standbys"])).fetchone()
    commit = values["synchronous_commit"]
    standbys, names = row[0] if row else 0, values["synchronous_standby_names"]
    found = []
    if commit == "off":
        found.append(
            fail(
                check,
                "synchronous_commit is off for this role here: a commit does not wait for the disk",
                "RESET it for the server, this database and this role; our own connections set it on, nobody else's do",
            )
        )
    if names and commit in {"off", "local"}:
        found.append(fail(check, f"synchronous_commit is {commit}: no commit waits for {names}", "set it to on"))
    if not standbys and values["archive_mode"] == "off":
        found.append(
            warn(check, "no standby and no archive: a lost disk loses what no backup has", "docs/operations.md")
        )
    elif not names:
        found.append(
            warn(
                check,
                "no synchronous standby: a failover may lose the last commits",
                "synchronous_standby_names, or know what to do then: docs/operations.md, Log and tables do not match",
            )
        )
    if values["wal_level"] == "minimal":
        found.append(warn(check, "wal_level is minimal: no standby and no archive is possible", "wal_level = replica"))
    return found or [ok(check, f"wait for {names}; {standbys} standbys are connected")]


async def _values(connection: Connection, *names: str) -> dict[str, str]:
    """What a session of this role has by default, whatever ours has set."""
    cursor = await connection.execute(_SQL["settings"], {"names": list(names)})
    return dict(await cursor.fetchall())


async def check_pooler(settings: ServiceSettings) -> list[Finding]:
    """Raises OperatorError when sessions are shared."""
    await check_sessions(settings)
    async with await _connected(settings) as connection:
        row: Any = await (await connection.execute(_SQL["session"])).fetchone()
        if row[0] == connection.info.backend_pid:
            return [ok("pooler", "none: sessions are our own")]
    if row[1] is None:
        return [warn("pooler", "in session mode; it drops our time limits", "nothing: each connection sets them again")]
    return [ok("pooler", "in session mode")]


async def check_tables(settings: ServiceSettings) -> list[Finding]:
    check = "migrations"
    async with await _connected(settings) as connection:
        try:
            await check_migrations(connection)
        except psycopg.errors.InsufficientPrivilege:
            return [fail(check, "this role may not read _yoyo_migration", "GRANT SELECT on it")]
        except OperatorError as error:
            found, _, remedy = str(error).partition(": ")
            return [fail(check, found, remedy)]
    return [ok(check, f"all {len(migration_ids())} are applied")]


async def check_room(settings: ServiceSettings, ingresses: int, processors: int) -> list[Finding]:
    """Whether the server lets as many connections in as the processes may have at once."""
    check = "connections"
    needed = ingresses * INGRESS_CONNECTIONS + processors * PROCESSOR_CONNECTIONS
    async with await _connected(settings) as connection:
        row: Any = await (await connection.execute(_SQL["room"])).fetchone()
    server, role, database, others = row
    words = f"{ingresses} ingresses and {processors} processors may have {needed}"
    limits = [each for each in (role, database) if each >= 0]
    if limits and min(limits) < needed:
        return [
            fail(check, f"{words}, and this role or database is limited to {min(limits)}", "raise CONNECTION LIMIT")
        ]
    if needed > server - others:
        return [fail(check, f"{words}; the server has {server}, and others use {others} now", "raise max_connections")]
    return [ok(check, f"{words}; the server has {server}")]
