"""Everything that a run left behind, in one SQLite file: sorted there, read in streams, never held in memory."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final

SCHEMA: Final = """
CREATE TABLE call (
    trace TEXT, id TEXT, kind TEXT, verb TEXT, start REAL, "end" REAL, status INTEGER, word TEXT, rejection TEXT,
    version INTEGER, command_id TEXT, partition INTEGER, "offset" INTEGER, content TEXT, jti TEXT, shared INTEGER,
    answered_id TEXT
);
CREATE TABLE record (
    partition INTEGER, "offset" INTEGER, id TEXT, trace TEXT, command_id TEXT, kind TEXT, verb TEXT, content TEXT,
    received_at INTEGER, deadline INTEGER, recorded_at INTEGER, PRIMARY KEY (partition, "offset")
) WITHOUT ROWID;
CREATE TABLE journal (
    partition INTEGER, "offset" INTEGER, command_id TEXT, outcome TEXT, reason TEXT, status TEXT, version INTEGER,
    sequence INTEGER, available TEXT, held TEXT, PRIMARY KEY (partition, "offset")
) WITHOUT ROWID;
CREATE TABLE event (
    partition INTEGER, "offset" INTEGER, source INTEGER, id TEXT, version INTEGER, kind TEXT, status TEXT,
    PRIMARY KEY (partition, "offset")
) WITHOUT ROWID;
CREATE TABLE allocation (id TEXT PRIMARY KEY, kind TEXT, status TEXT, version INTEGER, content TEXT) WITHOUT ROWID;
CREATE TABLE account (
    connection_id TEXT, currency TEXT, sequence INTEGER, available TEXT, held TEXT,
    PRIMARY KEY (connection_id, currency)
) WITHOUT ROWID;
CREATE TABLE ledger (
    partition INTEGER, "offset" INTEGER, connection_id TEXT, currency TEXT, debit TEXT, credit TEXT, quantity TEXT,
    PRIMARY KEY (partition, "offset")
) WITHOUT ROWID;
CREATE TABLE foreign_record (
    partition INTEGER, "offset" INTEGER, size INTEGER, digest TEXT, PRIMARY KEY (partition, "offset")
) WITHOUT ROWID;
CREATE TABLE dead_letter (
    partition INTEGER, "offset" INTEGER, reason TEXT, size INTEGER, digest TEXT, PRIMARY KEY (partition, "offset")
) WITHOUT ROWID;
CREATE TABLE dead_letter_copy (
    place TEXT, partition INTEGER, "offset" INTEGER, reason TEXT, size INTEGER, digest TEXT
);
CREATE TABLE effect (
    partition INTEGER, "offset" INTEGER, id TEXT, connection_id TEXT, currency TEXT, kind TEXT, status TEXT,
    quantity TEXT, sequence INTEGER, available TEXT, held TEXT, start REAL, "end" REAL,
    PRIMARY KEY (partition, "offset")
) WITHOUT ROWID;
"""
INDEXES: Final = """
CREATE INDEX call_by_id ON call (id, start);
CREATE INDEX call_by_token ON call (jti);
CREATE INDEX record_by_id ON record (id, partition, "offset");
CREATE INDEX event_by_id ON event (id, partition, "offset");
"""

Row = tuple[Any, ...]


class Store:
    def __init__(self, file: Path | str = ":memory:") -> None:
        if file != ":memory:":
            Path(file).unlink(missing_ok=True)
        self._connection = sqlite3.connect(file)
        self._connection.executescript("PRAGMA journal_mode = off; PRAGMA synchronous = off;" + SCHEMA)

    def close(self) -> None:
        self._connection.close()

    def insert(self, table: str, rows: Iterable[Sequence[Any]]) -> None:
        columns = len(self._connection.execute(f"SELECT * FROM {table} LIMIT 0").description)  # noqa: S608 - our names
        marks = ", ".join("?" * columns)
        with self._connection:
            self._connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608

    def index(self) -> None:
        """To be called once, when everything is loaded."""
        self._connection.executescript(INDEXES)

    def rows(self, statement: str, **arguments: Any) -> Iterator[Row]:
        return self._connection.execute(statement, arguments)

    def count(self, table: str) -> int:
        return int(next(self.rows(f"SELECT count(*) FROM {table}"))[0])  # noqa: S608

    def clusters(self, **statements: str) -> Iterator[tuple[str, dict[str, list[Row]]]]:
        """For every id: its rows of each statement. A statement gives the id first, and is ordered by it."""
        streams = {name: groupby(self.rows(text), lambda row: row[0]) for name, text in statements.items()}
        heads = {name: next(stream, None) for name, stream in streams.items()}
        while present := [head[0] for head in heads.values() if head is not None]:
            lowest = min(present)
            cluster: dict[str, list[Row]] = {}
            for name, head in heads.items():
                cluster[name] = list(head[1]) if head is not None and head[0] == lowest else []
            for name, rows in cluster.items():
                if rows:
                    heads[name] = next(streams[name], None)
            yield lowest, cluster
