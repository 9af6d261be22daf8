"""Connections to Postgres, with the time limits of decision 2."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import orjson
import psycopg
from psycopg.abc import PQGen
from psycopg.adapt import Dumper
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.json import set_json_loads
from psycopg.waiting import wait_async

from service.errors import OperatorError
from service.logs import logger
from service.settings import ServiceSettings

RV = TypeVar("RV")
_log = logger("postgres")

WAIT_INTERVAL: Final = 0.1
"""psycopg's default: seconds between checks of a silent socket."""

READINGS: Final[dict[str, str]] = {
    "search_path": "public",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "array_nulls": "on",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
}
"""What names and values are read as, whatever a role or database says; with UTF-8, which the client asks for.

`default_transaction_read_only` is not among them: it is a brake, and whoever sets it means us."""

SERVER_LIMITS: Final[dict[str, str]] = {
    "idle_in_transaction_session_timeout": "2s",
    "idle_session_timeout": "0",
    "lock_timeout": "3s",
    "statement_timeout": "0",
    "transaction_timeout": "5s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10s",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    **READINGS,
}
"""Bounds on how long a suspended client can hold a lock, and settings that a role or database must not change.

The bound is on the transaction, which Postgres lifts before a commit waits for a synchronous standby; a statement
timeout would cut that wait short (decision 2)."""

KEYED: Final[dict[str, str]] = SERVER_LIMITS | {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}
"""For connections that only look rows up by key: generic plans, and never a sequential scan, which the planner would
choose, and keep, while a table is new and small."""

_MARK: Final = "allocations.limits"
"""A setting of our own, which is lost wherever a pooler drops the others."""

_SYNCHRONOUS: Final = """
    SELECT
        current_setting('allocations.limits', true),
        set_config('synchronous_commit', CASE found WHEN 'off' THEN 'on' ELSE found END, false),
        current_setting('session_replication_role')
    FROM current_setting('synchronous_commit') AS found
"""
"""Our commits are durable on the primary, whatever the default is or becomes while we are connected; for which standbys
they wait is the operator's choice."""

_PIN: Final = "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS pinned (name, value)"

_CLIENT_LIMITS: Final[dict[str, Any]] = {
    "client_encoding": "utf8",
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


def conninfo(settings: ServiceSettings, application_name: str, limits: Mapping[str, str] = SERVER_LIMITS) -> str:
    """The connection string of one of our connections. `limits` are its settings on the server."""
    address = settings.postgres_address
    options = _options(address, {_MARK: "set", **limits})
    return make_conninfo(address, application_name=application_name, options=options, **_CLIENT_LIMITS)


def readable(address: str) -> str:
    """An address whose connections read names and values as ours do."""
    options = _options(address, READINGS | {"statement_timeout": "0", "idle_in_transaction_session_timeout": "0"})
    return make_conninfo(address, options=options, client_encoding="utf8")


def _options(address: str, pinned: Mapping[str, str]) -> str:
    """Startup options: those of the address, then ours, which count."""
    options = " ".join(f"-c {name}={_escaped(value)}" for name, value in pinned.items())
    earlier = conninfo_to_dict(address).get("options")
    return f"{earlier} {options}" if earlier else options


async def connect(
    settings: ServiceSettings, application_name: str, limits: Mapping[str, str] = SERVER_LIMITS
) -> "Connection":
    """A connection in autocommit mode: transactions are written out where they are.

    Raises OperatorError for a session that does not check what the tables require.
    """
    connection = await Connection.connect(conninfo(settings, application_name, limits), autocommit=True)
    connection.adapters.register_dumper(list, _ArrayDumper)
    await _pin(connection, limits)
    set_json_loads(orjson.loads, connection)
    return connection


async def _pin(connection: "Connection", limits: Mapping[str, str]) -> None:
    """Set the limits again where a pooler has dropped them (PgBouncer's `ignore_startup_parameters = options`)."""
    row = await (await connection.execute(_SYNCHRONOUS)).fetchone()
    if row and row[2] != "origin":
        await connection.close()
        raise OperatorError(
            f"session_replication_role is {row[2]} for this role: foreign keys and triggers do nothing. "
            "Reset it (ALTER ROLE … RESET session_replication_role)"
        )
    if row and row[0] is None:
        await connection.execute(_PIN, (list(limits), list(limits.values())))
        _log.warning("limits_set_again", remedy="a pooler drops `options`: it must keep a session for each connection")


def _escaped(value: str) -> str:
    return value.replace(" ", r"\ ")


class Connection(psycopg.AsyncConnection[tuple[Any, ...]]):
    """A connection that is dropped, never cancelled, when the task that waits for it is cancelled.

    psycopg would ask the server to cancel the statement. A commit that waits for a synchronous standby then only stops
    waiting: what no standby has becomes visible, is answered, and is lost with the next failover (decision 2).
    `tests/service/test_postgres.py` fails when an upgrade changes what this leans on.
    """

    async def wait(self, gen: PQGen[RV], interval: float = WAIT_INTERVAL, timeout: float | None = None) -> RV:  # noqa: ASYNC109 - psycopg's signature
        try:
            return await wait_async(gen, self.pgconn.socket, interval=interval, timeout=timeout)
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
            self.pgconn.finish()
            raise


class _ArrayDumper(Dumper):
    """Lists of int, str, bytes or None as Postgres reads arrays; the statement names the type (`%(ids)s::uuid[]`).

    psycopg's own looks up how to write each element: five short lists cost more than the rest of a statement.
    """

    def dump(self, obj: list[Any]) -> bytes:
        return f"{{{','.join(map(_element, obj))}}}".encode()


def _element(value: int | str | bytes | None) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", r"\\").replace('"', r"\"")
        return f'"{escaped}"'
    if isinstance(value, bytes):
        return f'"\\\\x{value.hex()}"'
    return "NULL" if value is None else str(value)
