"""The numbered SQL files beside this module, applied under a lock (decision 18)."""

from pathlib import Path
from typing import Any, Final, LiteralString
from urllib.parse import urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

from service.errors import OperatorError
from service.postgres import readable
from service.postgres_address import check_postgres_address

_FOLDER: Final = Path(__file__).parent / "migrations"
_LOCK: Final[LiteralString] = "SELECT pg_advisory_lock(hashtext('allocations migrate'))"


def migration_ids() -> list[str]:
    """The ids of all migrations of this version, in order."""
    return sorted(path.stem for path in _FOLDER.glob("*.sql"))


def migrate(address: str) -> list[str]:
    """Apply what is missing; returns the ids that were applied. `address` is whatever libpq takes.

    The lock is Postgres's own, held by a connection: it goes when the process does, whatever ends it.
    Raises OperatorError when the database's text is not UTF-8, the role may not change the tables, and for an address
    that is none.
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
        guard.execute(_LOCK)
        backend = get_backend(_yoyo_url(address))
        try:
            missing = backend.to_apply(read_migrations(str(_FOLDER)))
            backend.apply_migrations(missing)
            return [migration.id for migration in missing]
        except psycopg.errors.InsufficientPrivilege as error:
            words = error.diag.message_primary
            raise OperatorError(f"migrate is to be run by the role that owns the tables: {words}") from None
        finally:
            backend.connection.close()


def _yoyo_url(address: str) -> str:
    """An address without host: yoyo hands the query to psycopg, and can not read several hosts or keywords itself."""
    return f"postgresql+psycopg://?{urlencode(conninfo_to_dict(address))}"


async def check_migrations(connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> None:
    """Raises OperatorError unless the database is exactly at this version's schema."""
    try:
        cursor = await connection.execute("SELECT migration_id FROM _yoyo_migration")
    except psycopg.errors.UndefinedTable:
        applied: set[str] = set()
    else:
        applied = {row[0] async for row in cursor}
    ours = migration_ids()
    if missing := [name for name in ours if name not in applied]:
        raise OperatorError(f"the database lacks migration {missing[0]}: run `allocations migrate` before starting")
    if ahead := sorted(applied - set(ours)):
        raise OperatorError(
            f"the database has migration {ahead[0]}, which this version does not know: start a newer version"
        )
