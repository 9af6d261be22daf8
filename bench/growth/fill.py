"""Fills the tables with a long history, by COPY; a second call goes on where the first stopped."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.sql import SQL, Identifier

from bench.growth.history import (
    ALLOCATION_COLUMNS,
    FIRST_PARTITION,
    JOURNAL_COLUMNS,
    LEDGER_COLUMNS,
    PARTITIONS,
    Chunk,
    History,
)
from processor.domain.journal import FIRST_HASH
from service.sql import statements

CHUNK: Final = 10_000
CONNECTION_IDS: Final = [str(UUID(int=number, version=4)) for number in range(1000)]

_SQL: Final = statements("bench")
Connection = psycopg.Connection[tuple[Any, ...]]


def fill(postgres: str, size: int, seconds: float, done: Callable[[int], None]) -> int:
    """Add allocations until there are `size` or time is up; gives how many there are.

    A chunk is one transaction, and the next one is made while it is written. At the end all is vacuumed, as it is where
    rows have come over months: else Postgres does that beside what is measured.
    """
    until = time.monotonic() + seconds
    with psycopg.connect(postgres) as connection, ThreadPoolExecutor(1) as thread:
        history = _resume(connection)
        chunk = history.chunk(min(CHUNK, size - history.made))
        while chunk.journal:
            accounts = dict(history.accounts)
            writing = thread.submit(_write, connection, chunk, accounts)
            written, left = history.made, size - history.made
            chunk = history.chunk(min(CHUNK, left) if time.monotonic() < until else 0)
            writing.result()
            done(written)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")
    return history.made


def _resume(connection: Connection) -> History:
    rows = connection.execute(_SQL["history_heads"], {"first": FIRST_PARTITION}).fetchall()
    heads = [(0, FIRST_HASH)] * PARTITIONS
    for partition, next_offset, digest in rows:
        heads[partition - FIRST_PARTITION] = next_offset, bytes(digest)
    accounts = dict.fromkeys(CONNECTION_IDS, (0, 0))
    for row in connection.execute(_SQL["history_accounts"], {"connection_ids": CONNECTION_IDS}):
        accounts[row[0]] = row[1], row[2]
    return History(heads, accounts, sum(next_offset for next_offset, _ in heads) // 2)


def _write(connection: Connection, chunk: Chunk, accounts: dict[str, tuple[int, int]]) -> None:
    states = accounts.values()
    saved = {
        "connection_ids": list(accounts),
        "sequences": [sequence for sequence, _ in states],
        "availables": [available for _, available in states],
    }
    connection.execute(_SQL["history_save_accounts"], saved)
    _copy(connection, "journal", JOURNAL_COLUMNS, chunk.journal)
    _copy(connection, "allocation", ALLOCATION_COLUMNS, chunk.allocations)
    _copy(connection, "ledger", LEDGER_COLUMNS, chunk.ledger)
    connection.commit()


def _copy(connection: Connection, name: str, columns: str, lines: str) -> None:
    into = SQL("COPY {} ({}) FROM STDIN").format(Identifier(name), SQL(", ").join(map(Identifier, columns.split(", "))))
    with connection.cursor() as cursor, cursor.copy(into) as copy:
        copy.write(lines)
