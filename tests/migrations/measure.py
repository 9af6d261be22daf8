"""How long each migration locks a database with many rows: `make measure-migrations ROWS=10000000`.

All migrations after the first, then the samples beside this file, of which `bad-…` are what a migration must
not do. A reader and a writer try every table all the while: their longest waits are what callers would feel.
"""

import asyncio
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import click
import psycopg
from yoyo.migrations import read_sql_migration

from local.servers import start_postgres
from local.supervisor import Supervisor
from service.migrations import FOLDER, migrate, migration_ids

HERE: Final = Path(__file__).parent
FILL: Final = (HERE / "sql" / "fill.sql").read_text()
FILLED: Final = ("journal", "allocation")
TOGETHER: Final = 250_000
PROBE_SECONDS: Final = 0.002
SAMPLES: Final = (
    *("column", "column-with-a-constant", "routine", "constraint-not-valid", "constraint-validated"),
    *("index-concurrently", "bad-index", "bad-constraint", "bad-column-with-a-new-value"),
)
STRENGTH: Final = (
    *("AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareLock"),
    *("ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"),
)
"""From the weakest to the strongest. From ShareLock on, writers wait; with the last, readers do too."""
LOCKS: Final = """
    SELECT l.mode, c.relname FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
    WHERE l.pid = %s AND l.granted AND c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
"""

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class Measured:
    """`held_seconds`: from the statement that took the strongest lock on a table to the commit that gave it back."""

    name: str
    lock: str
    held_seconds: float
    seconds: float
    reader_waited: float
    writer_waited: float

    def row(self) -> str:
        times = (self.held_seconds, self.seconds, self.reader_waited, self.writer_waited)
        return " | ".join(["", self.name, self.lock, *(f"{each:.3f} s" for each in times), ""]).strip()


@dataclass
class Probe:
    """Tries every filled table in a loop; `longest` seconds for one try."""

    address: str
    statement: str
    longest: float = 0.0
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        with psycopg.connect(self.address, autocommit=True) as connection:
            while not self.over.is_set():
                for table in FILLED:
                    began = time.monotonic()
                    connection.execute(self.statement.format(table).encode())
                    self.longest = max(self.longest, time.monotonic() - began)
                time.sleep(PROBE_SECONDS)


READ: Final = "SELECT FROM {} LIMIT 1"
WRITE: Final = "DELETE FROM {} WHERE false"


def fill(connection: Connection, rows: int) -> None:
    for first in range(0, rows, TOGETHER):
        last = min(first + TOGETHER, rows) - 1
        for statement in filter(str.strip, FILL.split(";")):
            connection.execute(statement.encode(), {"first": first, "last": last})
    for table in FILLED:
        connection.execute(f"VACUUM ANALYZE {table}".encode())


def measured(address: str, file: Path) -> Measured:
    """Apply a migration, as `allocations migrate` does, and watch its locks."""
    directives, _, statements = read_sql_migration(str(file))
    probes = [Probe(address, READ), Probe(address, WRITE)]
    threads = [threading.Thread(target=probe.run) for probe in probes]
    for thread in threads:
        thread.start()
    try:
        time.sleep(PROBE_SECONDS * 10)
        began = time.monotonic()
        together = directives.get("transactional", "true") == "true"
        lock, held = (_whole if together else _one_by_one)(address, statements)
        seconds = time.monotonic() - began
    finally:
        for probe in probes:
            probe.over.set()
        for thread in threads:
            thread.join()
    return Measured(file.stem, lock, held, seconds, *(probe.longest for probe in probes))


def _whole(address: str, statements: Sequence[str]) -> tuple[str, float]:
    since: dict[str, float] = {}
    with psycopg.connect(address) as connection:
        there = {row[0] for row in connection.execute("SELECT relname FROM pg_class WHERE relkind = 'r'")}
        pid = connection.info.backend_pid
        for statement in statements:
            began = time.monotonic()
            connection.execute(statement.encode())
            for mode, table in connection.execute(LOCKS, (pid,)):
                if table in there:
                    since.setdefault(f"{mode} on {table}", began)
        connection.commit()
        over = time.monotonic()
    strongest = _strongest(since)
    return strongest, over - since.get(strongest, over)


def _one_by_one(address: str, statements: Sequence[str]) -> tuple[str, float]:
    """The locks of statements outside of a transaction are looked for while they run."""
    seen: dict[str, float] = {}
    with psycopg.connect(address, autocommit=True) as connection:
        pid, over = connection.info.backend_pid, threading.Event()

        def look() -> None:
            with psycopg.connect(address, autocommit=True) as other:
                while not over.is_set():
                    for mode, table in other.execute(LOCKS, (pid,)):
                        seen.setdefault(f"{mode} on {table}", time.monotonic())

        looking = threading.Thread(target=look)
        looking.start()
        try:
            for statement in statements:
                connection.execute(statement.encode())
        finally:
            ended = time.monotonic()
            over.set()
            looking.join()
    strongest = _strongest(seen)
    return strongest, ended - seen.get(strongest, ended)


def _strongest(found: "dict[str, float]") -> str:
    return max(found, key=lambda each: STRENGTH.index(each.partition(" ")[0]), default="none")


def table(rows: int, found: Sequence[Measured]) -> Iterator[str]:
    yield f"{rows:,} rows in each of {' and '.join(FILLED)}"
    yield ""
    yield "| migration | strongest lock on a table | held | whole | a reader waited | a writer waited |"
    yield "|---|---|--:|--:|--:|--:|"
    yield from (each.row() for each in found)


@click.command()
@click.option("--rows", default=10_000_000, show_default=True, type=click.IntRange(1))
def main(rows: int) -> None:
    """Fill a Postgres of its own with rows, and apply every migration after the first and the samples."""
    with tempfile.TemporaryDirectory(prefix="allocations-migrations-", ignore_cleanup_errors=True) as folder:
        asyncio.run(_run(Path(folder), rows))


async def _run(folder: Path, rows: int) -> None:
    async with AsyncExitStack() as exits:
        supervisor = await exits.enter_async_context(Supervisor(print))
        address = await start_postgres(folder, supervisor, exits, print)
        print("\n".join(await asyncio.to_thread(_measure, address, folder, rows)))


def _measure(address: str, folder: Path, rows: int) -> list[str]:
    first, *later = migration_ids()
    only = folder / "first"
    only.mkdir()
    (only / f"{first}.sql").write_text((FOLDER / f"{first}.sql").read_text())
    migrate(address, only)
    began = time.monotonic()
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        fill(connection, rows)
        size = connection.execute("SELECT pg_size_pretty(pg_database_size(current_database()))").fetchone()
    print(f"filled in {time.monotonic() - began:.0f} s, {size[0] if size else '?'}", file=sys.stderr)
    files = [FOLDER / f"{each}.sql" for each in later] + [HERE / "samples" / f"{each}.sql" for each in SAMPLES]
    return list(table(rows, [measured(address, file) for file in files]))


if __name__ == "__main__":
    main()
