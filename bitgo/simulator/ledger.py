"""BitGo's own ledger: clients, connections, allocations of both kinds, and the balances that follow from them.

One SQLite file, which the server and the caller share. Every change is one small transaction, synced to disk, so that
the ledger agrees with itself whenever the process dies. BitGo moves its own ledger before it tells the partner: an
allocation is credited when its clear is decided, and a hold is gone when its clear or release is.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from bitgo.simulator.entries import (
    NEXT,
    Allocation,
    Balance,
    Connection,
    LedgerStatus,
    allocation_of,
    movement,
    now_milliseconds,
)
from schemas.words import Kind

BUSY_SECONDS: Final = 30.0


class LedgerError(Exception):
    """What was asked does not fit what the ledger has; nothing was changed."""


class Ledger:
    """One connection to the file. `database` is for reading, and for tables of others in the same file."""

    def __init__(self, path: Path | str) -> None:
        self.database = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        self.database.row_factory = sqlite3.Row
        self.database.execute("PRAGMA journal_mode = WAL")
        self.database.execute("PRAGMA synchronous = FULL")
        self.database.execute("PRAGMA foreign_keys = ON")
        self.add_tables(files("bitgo.simulator").joinpath("schema.sql").read_text())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self.database.close()

    def add_tables(self, statements: str) -> None:
        """`CREATE … IF NOT EXISTS` statements, all or none."""
        self.database.executescript(f"BEGIN IMMEDIATE;\n{statements}\nCOMMIT;")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing; one within another is part of the outer one."""
        if self.database.in_transaction:
            yield self.database
            return
        self.database.execute("BEGIN IMMEDIATE")
        try:
            yield self.database
        except BaseException:
            self.database.execute("ROLLBACK")
            raise
        self.database.execute("COMMIT")

    def add_connection(self, connection: Connection) -> None:
        """With its client; one that is there already stays as it is. Raises LedgerError when it has another client."""
        now = now_milliseconds()
        with self.transaction() as database:
            database.execute(
                "INSERT INTO clients VALUES (:client_id, :now) ON CONFLICT DO NOTHING", vars(connection) | {"now": now}
            )
            database.execute(
                "INSERT INTO connections VALUES (:connection_id, :client_id, :partner_id, :partners_connection_id,"
                " :partners_client_id, :client_wallet_id, :status, :now, :now) ON CONFLICT DO NOTHING",
                vars(connection) | {"now": now},
            )
            there = self.connection(connection.connection_id)
            if there is None or there.client_id != connection.client_id:
                raise LedgerError(f"connection {connection.connection_id} belongs to another client")

    def activate(self, connection_id: str, partners_client_id: str, partners_connection_id: str) -> None:
        """What the partner answered to the connection request (contract, section 6)."""
        with self.transaction() as database:
            database.execute(
                "UPDATE connections SET status = 'active', partners_client_id = ?, partners_connection_id = ?,"
                " updated_at = ? WHERE connection_id = ?",
                (partners_client_id, partners_connection_id, now_milliseconds(), connection_id),
            )

    def set_connection_status(self, connection_id: str, status: str) -> None:
        with self.transaction() as database:
            database.execute(
                "UPDATE connections SET status = ?, updated_at = ? WHERE connection_id = ?",
                (status, now_milliseconds(), connection_id),
            )

    def connection(self, connection_id: str) -> Connection | None:
        row = self.database.execute("SELECT * FROM connections WHERE connection_id = ?", (connection_id,)).fetchone()
        return Connection(**dict(row)) if row else None

    def connections(self) -> list[Connection]:
        rows = self.database.execute("SELECT * FROM connections ORDER BY created_at, connection_id")
        return [Connection(**dict(row)) for row in rows]

    def add_allocation(
        self, kind: Kind, allocation_id: str, connection_id: str, currency: str, quantity: int, **optional: Any
    ) -> None:
        """A pending one. `optional`: partner_allocation_id, client_external_id, initiated_by, notes, deferred.

        Raises LedgerError when the id is known or the connection is not.
        """
        now = now_milliseconds()
        row = {
            "partner_allocation_id": None,
            "client_external_id": None,
            "initiated_by": None,
            "notes": None,
            "deferred": 0,
        } | optional
        try:
            with self.transaction() as database:
                database.execute(
                    "INSERT INTO allocations VALUES (:allocation_id, :kind, :connection_id, :currency, :quantity,"
                    " 'pending', NULL, :partner_allocation_id, :client_external_id, :initiated_by, :notes, :deferred,"
                    " 1, :now, :now)",
                    row
                    | {
                        "allocation_id": allocation_id,
                        "kind": str(kind),
                        "connection_id": connection_id,
                        "currency": currency,
                        "quantity": str(quantity),
                        "now": now,
                    },
                )
        except sqlite3.IntegrityError as error:
            raise LedgerError(f"{kind} {allocation_id}: {error}") from error

    def allocation(self, allocation_id: str) -> Allocation | None:
        row = self.database.execute("SELECT * FROM allocations WHERE allocation_id = ?", (allocation_id,)).fetchone()
        return allocation_of(row) if row else None

    def allocations(self) -> Iterator[Allocation]:
        for row in self.database.execute("SELECT * FROM allocations ORDER BY created_at, allocation_id"):
            yield allocation_of(row)

    def set_status(
        self,
        allocation_id: str,
        status: LedgerStatus,
        reason: str | None = None,
        partner_allocation_id: str | None = None,
    ) -> Allocation:
        """Change the status and move the balances; the same status again changes nothing.

        Raises LedgerError when the table has no such transition.
        """
        with self.transaction() as database:
            before = self.allocation(allocation_id)
            if before is None:
                raise LedgerError(f"{allocation_id} is not known")
            if status == before.status:
                return before
            if status not in NEXT[before.status]:
                raise LedgerError(f"{before.kind} {allocation_id} is {before.status}, so it cannot become {status}")
            database.execute(
                "UPDATE allocations SET status = ?, reason = ?, version = version + 1, updated_at = ?,"
                " partner_allocation_id = coalesce(?, partner_allocation_id) WHERE allocation_id = ?",
                (status, reason, now_milliseconds(), partner_allocation_id, allocation_id),
            )
            available, held = movement(before.kind, before.status, status, before.quantity)
            if available or held:
                self.move(
                    before.connection_id,
                    before.currency,
                    available,
                    held,
                    before.kind,
                    allocation_id,
                    before.version + 1,
                )
            after = self.allocation(allocation_id)
            assert after is not None  # noqa: S101 - updated a moment ago, in this transaction
            return after

    def move(
        self, connection_id: str, currency: str, available: int, held: int, cause: str, cause_id: str, version: int = 0
    ) -> None:
        """A signed change of a balance. A settlement gives cause 'settlement', its id, and one call per currency."""
        with self.transaction() as database:
            database.execute(
                "INSERT INTO movements VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    connection_id,
                    currency,
                    str(available),
                    str(held),
                    str(cause),
                    cause_id,
                    version,
                    now_milliseconds(),
                ),
            )
            now = self.balance(connection_id, currency)
            database.execute(
                "INSERT INTO balances VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
                " SET available = excluded.available, held = excluded.held",
                (connection_id, currency, str(now.available + available), str(now.held + held)),
            )

    def balance(self, connection_id: str, currency: str) -> Balance:
        row = self.database.execute(
            "SELECT available, held FROM balances WHERE connection_id = ? AND currency = ?", (connection_id, currency)
        ).fetchone()
        return Balance(int(row["available"]), int(row["held"])) if row else Balance(0, 0)

    def balances(self) -> dict[tuple[str, str], Balance]:
        """By connection and currency."""
        return {
            (row["connection_id"], row["currency"]): Balance(int(row["available"]), int(row["held"]))
            for row in self.database.execute("SELECT * FROM balances ORDER BY connection_id, currency")
        }
