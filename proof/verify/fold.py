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
from processor.domain.connection import PlatformAccount
from proof.checkpoint.file import SUBJECT_BLOCKS, BlockKind
from proof.log.subject_tables import CONNECTIONS, SUBJECT_TABLES, SubjectTable
from proof.verify.usage import UsageFold

CACHE_KIB: Final = 65_536

_SCHEMA: Final = f"""
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA temp_store = FILE;
    PRAGMA cache_size = -{CACHE_KIB};
    {"".join(f"CREATE TABLE {each.name} (id TEXT PRIMARY KEY, row TEXT NOT NULL);" for each in SUBJECT_TABLES)}
    CREATE TABLE account (
        connection_id TEXT, currency TEXT, sequence INTEGER NOT NULL, available TEXT NOT NULL, held TEXT NOT NULL,
        PRIMARY KEY (connection_id, currency)
    );
    CREATE TABLE decision (
        connection_id TEXT NOT NULL, currency TEXT NOT NULL, sequence INTEGER NOT NULL, available_before TEXT NOT NULL,
        held_before TEXT NOT NULL, debit TEXT, credit TEXT, quantity TEXT, position TEXT NOT NULL, of TEXT
    );
    CREATE TABLE platform_account (id TEXT PRIMARY KEY, sequence INTEGER NOT NULL, connected_by TEXT);
    CREATE TABLE platform_decision (
        id TEXT NOT NULL, sequence INTEGER NOT NULL, connected_before TEXT, connected_after TEXT, token_hash TEXT,
        token_used_before INTEGER NOT NULL, position TEXT NOT NULL, of TEXT
    );
    CREATE TABLE spent_token (token_hash TEXT NOT NULL, id TEXT NOT NULL, sequence INTEGER NOT NULL);
    CREATE INDEX spent_token_by_hash ON spent_token (token_hash);
    CREATE TABLE reserve (
        connection_id TEXT NOT NULL, version INTEGER NOT NULL, client_id TEXT, partners_connection_id TEXT,
        partner_client_id TEXT, reason TEXT, position TEXT NOT NULL, of TEXT
    );
    BEGIN;
"""


@dataclass(frozen=True, slots=True)
class AccountDecision:
    """A decision that read or moved an account: what it found, and what it moved. `of`: the subject it decided on."""

    key: AccountKey
    sequence: int
    available_before: int
    held_before: int
    movement: Movement | None
    position: str
    of: str | None


@dataclass(frozen=True, slots=True)
class PlatformDecision:
    """A decision that read or moved a platform account: what it found, and what it left.

    `token_hash`: of an activation; `spends`: whether it was the one that its token was for.
    """

    account: str
    sequence: int
    connected_before: str | None
    connected_after: str | None
    token_hash: str | None
    token_used_before: bool
    spends: bool
    position: str
    of: str | None


@dataclass(frozen=True, slots=True)
class ConnectionRead:
    """A reserve for which policy read a connection: in which version, what the reserve said, and what came of it."""

    connection_id: str
    version: int
    client_id: str
    partners_connection_id: str
    partner_client_id: str | None
    reason: str | None
    position: str
    of: str | None


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
        rows = list(rows)
        if part in SUBJECT_BLOCKS:
            texts = ((row[0], json.dumps(row, separators=(",", ":"))) for row in rows)
            self._database.executemany(f"INSERT INTO {SUBJECT_BLOCKS[part].name} VALUES (?, ?)", texts)  # noqa: S608
        elif part is BlockKind.ACCOUNTS:
            self._database.executemany("INSERT INTO account VALUES (?, ?, ?, ?, ?)", rows)
        elif part is BlockKind.PLATFORM_ACCOUNTS:
            self._database.executemany("INSERT INTO platform_account VALUES (?, ?, ?)", rows)
        elif part is BlockKind.USAGES:
            self.usages.begin_with(rows)
        if part is BlockKind.CONNECTIONS:
            names = [CONNECTIONS.columns.index(name) for name in ("token_hash", "partners_connection_id")]
            spent = ([row[each] for each in names] for row in rows)
            self._database.executemany("INSERT INTO spent_token VALUES (?, ?, 0)", spent)

    def states(self, table: SubjectTable, ids: Iterable[str]) -> dict[str, Any]:
        """What is known of these."""
        rows = self._database.execute(
            f"SELECT row FROM {table.name} WHERE id IN (SELECT value FROM json_each(?))",  # noqa: S608
            (json.dumps(list(ids)),),
        )
        found = (json.loads(text) for (text,) in rows)
        return {row[0]: table.state_of(dict(zip(table.columns, row, strict=True))) for row in found}

    def keep(self, table: SubjectTable, states: Mapping[str, Any]) -> None:
        self._database.executemany(
            f"INSERT INTO {table.name} VALUES (?, ?) ON CONFLICT DO UPDATE SET row = excluded.row",  # noqa: S608
            (
                (key, json.dumps(list(table.row_of(state).values()), separators=(",", ":")))
                for key, state in states.items()
                if state is not None
            ),
        )

    def count(self, table: SubjectTable) -> int:
        """How many ids there are."""
        return int(self._database.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0])  # noqa: S608

    def subjects(self, table: SubjectTable) -> Iterator[tuple[str, list[Any]]]:
        """Id and columns, in the order of ids."""
        for subject_id, text in self._database.execute(f"SELECT id, row FROM {table.name} ORDER BY id"):  # noqa: S608
            yield subject_id, json.loads(text)

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
                    each.of,
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
            connection_id, currency, sequence, available, held, debit, credit, quantity, position, of = row
            movement = Movement(Book(debit), Book(credit), int(quantity)) if debit else None
            yield AccountDecision(
                (connection_id, currency), sequence, int(available), int(held), movement, position, of
            )

    def add_platform_decisions(self, decisions: Iterable[PlatformDecision]) -> None:
        for each in decisions:
            self._database.execute(
                "INSERT INTO platform_decision VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(each.account, each.sequence, each.connected_before, each.connected_after),
                    *(each.token_hash, each.token_used_before, each.position, each.of),
                ),
            )
            if each.spends:
                self._database.execute(
                    "INSERT INTO spent_token VALUES (?, ?, ?)", (each.token_hash, each.account, each.sequence)
                )

    def platform_accounts(self) -> Iterator[PlatformAccount]:
        """Those that it began with, in order."""
        for row in self._database.execute("SELECT * FROM platform_account ORDER BY id"):
            yield PlatformAccount(*row)

    def platform_decisions(self) -> Iterator[tuple[PlatformDecision, bool]]:
        """Account by account, in the order of their sequences; and whether the token was spent there before.

        A token that was spent on another account of the platform was spent, before or after: that is not ordered.
        """
        for (
            account,
            sequence,
            before,
            after,
            token_hash,
            used,
            position,
            of,
            spends,
            here,
            elsewhere,
        ) in self._database.execute(
            """
                SELECT
                    d.*,
                    EXISTS (
                        SELECT 1 FROM spent_token s
                        WHERE s.token_hash = d.token_hash AND s.id = d.id AND s.sequence = d.sequence
                    ),
                    EXISTS (
                        SELECT 1 FROM spent_token s
                        WHERE s.token_hash = d.token_hash AND s.id = d.id AND s.sequence < d.sequence
                    ),
                    EXISTS (SELECT 1 FROM spent_token s WHERE s.token_hash = d.token_hash AND s.id <> d.id)
                FROM platform_decision d
                ORDER BY d.id, d.sequence
                """
        ):
            decision = PlatformDecision(
                account, sequence, before, after, token_hash, bool(used), bool(spends), position, of
            )
            yield decision, bool(here or (used and elsewhere))

    def add_reads(self, reads: Iterable[ConnectionRead]) -> None:
        self._database.executemany(
            "INSERT INTO reserve VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    *(each.connection_id, each.version, each.client_id, each.partners_connection_id),
                    *(each.partner_client_id, each.reason, each.position, each.of),
                )
                for each in reads
            ),
        )

    def reads(self) -> Iterator[ConnectionRead]:
        """Connection by connection."""
        for row in self._database.execute("SELECT * FROM reserve ORDER BY connection_id"):
            yield ConnectionRead(*row)
