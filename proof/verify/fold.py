"""The expected state while the log is folded, kept on disk: memory does not grow with the log.

A SQLite database without a name: a file in the folder for temporary files that is gone when the process is, however it
ends.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from processor.domain.account import Account, AccountKey, Book, Movement
from processor.domain.machine import State
from processor.postgres.rows import ALLOCATION_COLUMNS, allocation_row, state_of
from proof.checkpoint.file import BlockKind
from proof.verify.usage import UsageFold

CACHE_KIB: Final = 65_536

_SCHEMA: Final = f"""
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA temp_store = FILE;
    PRAGMA cache_size = -{CACHE_KIB};
    CREATE TABLE allocation (allocation_id TEXT PRIMARY KEY, row TEXT NOT NULL);
    CREATE TABLE account (
        connection_id TEXT, currency TEXT, sequence INTEGER NOT NULL, available TEXT NOT NULL, held TEXT NOT NULL,
        PRIMARY KEY (connection_id, currency)
    );
    CREATE TABLE decision (
        connection_id TEXT NOT NULL, currency TEXT NOT NULL, sequence INTEGER NOT NULL, available_before TEXT NOT NULL,
        held_before TEXT NOT NULL, debit TEXT, credit TEXT, quantity TEXT, position TEXT NOT NULL, allocation_id TEXT
    );
    BEGIN;
"""


@dataclass(frozen=True, slots=True)
class AccountDecision:
    """A decision that read or moved an account: what it found, and what it moved."""

    key: AccountKey
    sequence: int
    available_before: int
    held_before: int
    movement: Movement | None
    position: str
    allocation_id: str | None


class Fold:
    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.executescript(_SCHEMA)
        self.usages = UsageFold()

    def close(self) -> None:
        self._database.close()
        self.usages.close()

    def begin_with(self, part: BlockKind, rows: Iterable[Sequence[Any]]) -> None:
        """Know some rows of a checkpoint before anything follows from the log."""
        if part is BlockKind.ALLOCATIONS:
            texts = ((row[0], json.dumps(row, separators=(",", ":"))) for row in rows)
            self._database.executemany("INSERT INTO allocation VALUES (?, ?)", texts)
        elif part is BlockKind.ACCOUNTS:
            self._database.executemany("INSERT INTO account VALUES (?, ?, ?, ?, ?)", rows)
        elif part is BlockKind.USAGES:
            self.usages.begin_with(rows)

    def states(self, allocation_ids: Iterable[str]) -> dict[str, State]:
        """The allocations that are known of these."""
        rows = self._database.execute(
            "SELECT row FROM allocation WHERE allocation_id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(allocation_ids)),),
        )
        found = (json.loads(text) for (text,) in rows)
        return {row[0]: state_of(dict(zip(ALLOCATION_COLUMNS, row, strict=True))) for row in found}

    def keep(self, states: Mapping[str, State]) -> None:
        self._database.executemany(
            "INSERT INTO allocation VALUES (?, ?) ON CONFLICT DO UPDATE SET row = excluded.row",
            (
                (key, json.dumps(list(allocation_row(state).values()), separators=(",", ":")))
                for key, state in states.items()
                if state is not None
            ),
        )

    def count(self) -> int:
        """How many ids there are."""
        return int(self._database.execute("SELECT count(*) FROM allocation").fetchone()[0])

    def allocations(self) -> Iterator[tuple[str, list[Any]]]:
        """Id and columns, in the order of ids."""
        for allocation_id, text in self._database.execute(
            "SELECT allocation_id, row FROM allocation ORDER BY allocation_id"
        ):
            yield allocation_id, json.loads(text)

    def add_decisions(self, decisions: Iterable[AccountDecision]) -> None:
        self._database.executemany(
            "INSERT INTO decision VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    *each.key,
                    each.sequence,
                    str(each.available_before),
                    str(each.held_before),
                    *(
                        (each.movement.debit, each.movement.credit, str(each.movement.quantity))
                        if each.movement
                        else (None, None, None)
                    ),
                    each.position,
                    each.allocation_id,
                )
                for each in decisions
            ),
        )

    def accounts(self) -> Iterator[Account]:
        """Those that it began with, in order."""
        for connection_id, currency, sequence, available, held in self._database.execute(
            "SELECT * FROM account ORDER BY connection_id, currency"
        ):
            yield Account(connection_id, currency, sequence, int(available), int(held))

    def decisions(self) -> Iterator[AccountDecision]:
        """Account by account, in the order of their sequences."""
        for row in self._database.execute("SELECT * FROM decision ORDER BY connection_id, currency, sequence"):
            connection_id, currency, sequence, available, held, debit, credit, quantity, position, allocation_id = row
            movement = Movement(Book(debit), Book(credit), int(quantity)) if debit else None
            yield AccountDecision(
                (connection_id, currency), sequence, int(available), int(held), movement, position, allocation_id
            )
