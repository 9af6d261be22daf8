"""The numbered SQL files beside this module, applied beside running processes, and checked at start (record 0002)."""

import re
import time
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final, LiteralString
from urllib.parse import urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

from service.errors import OperatorError, UnavailableError
from service.logs import logger
from service.postgres import readable
from service.postgres_address import check_postgres_address

FOLDER: Final = Path(__file__).parent / "migrations"
LOCK_SECONDS: Final = 1
"""How long a migration waits for a lock: whoever wants the same table waits behind it. A write may take ten."""
LONG_LOCK_SECONDS: Final = 3600
"""The same of a migration outside of a transaction, which keeps nobody waiting."""
TRIES: Final = 30
PAUSE_SECONDS: Final = 1.0

_LOCK: Final[LiteralString] = "SELECT pg_advisory_lock(hashtext('allocations migrate'))"
_IN_THE_WAY: Final[LiteralString] = """
    SELECT format('process %s (%s), since %s', pid, application_name, xact_start)
    FROM pg_stat_activity
    WHERE datname = current_database() AND xact_start < now() - interval '1 second'
    ORDER BY xact_start LIMIT 1
"""
_CONTRACTS: Final = re.compile(r"[0-9]{4}\.contracts-([0-9]{4})\.")

_log = logger("migrations")


def migration_ids() -> list[str]:
    """The ids of all migrations of this version, in order."""
    return sorted(path.stem for path in FOLDER.glob("*.sql"))


def migrate(address: str, folder: Path = FOLDER) -> list[str]:
    """Apply what is missing; returns the ids that were applied. `address` is whatever libpq takes.

    A migration and its mark are one transaction, unless it says `-- transactional: false`. Only one process migrates at
    a time: the others wait for its lock, which is held by a connection and goes when the process does. Raises
    OperatorError when the database's text is not UTF-8, the role may not change the tables, and for an address that is
    none; UnavailableError when a long transaction of somebody else keeps a migration from its locks.
    """
    from yoyo import get_backend, read_migrations  # noqa: PLC0415 - a process that only compares ids starts without it

    try:
        check_postgres_address(address)
    except ValueError as error:
        raise OperatorError(f"the database's address {error}") from None
    address = readable(address)
    with psycopg.connect(address, autocommit=True, application_name="allocations-migrate") as guard:
        if (encoding := guard.info.parameter_status("server_encoding")) != "UTF8":
            raise OperatorError(f"the database's encoding is {encoding}: create it with ENCODING 'UTF8'")
        guard.execute("SET lock_timeout = 0")
        guard.execute(_LOCK)
        backend = get_backend(_yoyo_url(address))
        try:
            missing = backend.to_apply(read_migrations(str(folder)))
            for migration in missing:
                _apply_when_possible(backend, migration, guard)
            return [migration.id for migration in missing]
        except psycopg.errors.InsufficientPrivilege as error:
            words = error.diag.message_primary
            raise OperatorError(f"migrate is to be run by the role that owns the tables: {words}") from None
        finally:
            backend.connection.close()


def _apply_when_possible(backend: Any, migration: Any, guard: psycopg.Connection[Any]) -> None:
    for left in reversed(range(TRIES)):
        try:
            return _apply(backend, migration)
        except psycopg.errors.LockNotAvailable:
            found = guard.execute(_IN_THE_WAY).fetchone()
            oldest = found[0] if found else "none"
            words = f"migration {migration.id} waits for a lock; the oldest transaction: {oldest}"
            _log.warning("migration_waits", error=words)
            if not left:
                remedy = "Nothing of it was applied; end that transaction, or try later"
                raise UnavailableError(f"{words}. {remedy}") from None
            time.sleep(PAUSE_SECONDS)
    return None


def _apply(backend: Any, migration: Any) -> None:
    """Yoyo's own `apply_one` marks a migration on another connection: killed in between, it would apply it again."""
    migration.load()
    is_whole = migration.use_transactions
    seconds = LOCK_SECONDS if is_whole else LONG_LOCK_SECONDS
    backend.execute(f"SET lock_timeout = '{seconds}s'")
    backend.execute("SET statement_timeout = 0; SET transaction_timeout = 0")
    with backend.transaction() if is_whole else nullcontext():
        migration.process_steps(backend, "apply")
        backend.mark_one(migration)


def _yoyo_url(address: str) -> str:
    """An address without host: yoyo hands the query to psycopg, and can not read several hosts or keywords itself."""
    return f"postgresql+psycopg://?{urlencode(conninfo_to_dict(address))}"


async def check_migrations(connection: psycopg.AsyncConnection[tuple[Any, ...]], *, exactly: bool = False) -> None:
    """Raises OperatorError when the database lacks a migration of ours, or has one that took away what we use.

    With `exactly`, any that we do not know is refused: what reads or writes whole tables must know all of them.
    """
    try:
        cursor = await connection.execute("SELECT migration_id FROM _yoyo_migration")
    except psycopg.errors.UndefinedTable:
        applied: set[str] = set()
    else:
        applied = {row[0] async for row in cursor}
    ours = migration_ids()
    if missing := [name for name in ours if name not in applied]:
        raise OperatorError(f"the database lacks migration {missing[0]}: run `allocations migrate` before starting")
    ahead = sorted(applied - set(ours))
    if refused := ahead if exactly else list(_too_new(ahead, ours[-1])):
        raise OperatorError(
            f"the database has migration {refused[0]}, which this version does not know: start a newer version"
        )


def _too_new(ahead: Iterable[str], newest_of_ours: str) -> Iterable[str]:
    """Those that took something away from versions as old as this one."""
    for name in ahead:
        contracts = _CONTRACTS.match(name)
        if contracts and contracts[1] > newest_of_ours[:4]:
            yield name
