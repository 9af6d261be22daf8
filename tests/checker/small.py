"""A small history, written by hand, of which everything is right; tests break one thing of it.

A reserves 5 and clears them; D takes 3 of them back, on another partition; T was released before it was reserved.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.checker.check import check
from tests.checker.findings import Findings
from tests.checker.store import Store

A: Final = "aaaaaaaa-0000-4000-8000-000000000000"
D: Final = "dddddddd-0000-4000-8000-000000000000"
T: Final = "eeeeeeee-0000-4000-8000-000000000000"
ACCOUNT: Final = {"connection_id": "connection", "currency": "BTC"}
FIVE: Final = "BTC|5|client|connection|partner"
THREE: Final = "BTC|3|client|connection|partner"
SECOND: Final = 1_000_000

Row = dict[str, Any]


def asked(place: tuple[int, int], subject: str, verb: str, content: str, at: int, **answer: Any) -> tuple[Row, Row]:
    """A call of a tenth of a second, at a second of its own, and its record."""
    kind = "deallocation" if subject == D else "allocation"
    partition, offset = place
    name = f"{partition}-{offset}"
    common = {"trace": f"trace-{name}", "id": subject, "kind": kind, "verb": verb, "command_id": f"command-{name}"}
    where = {"partition": partition, "offset": offset, "content": content}
    call = common | where | {"start": at, "end": at + 0.1, "status": 200, "jti": f"token-{name}", "shared": 0}
    times = {"received_at": at * SECOND, "deadline": (at + 15) * SECOND, "recorded_at": at * SECOND + 5000}
    return call | answer | {"answered_id": subject}, common | where | times


def journaled(place: tuple[int, int], outcome: str, **columns: Any) -> Row:
    partition, offset = place
    return {
        "partition": partition,
        "offset": offset,
        "command_id": f"command-{partition}-{offset}",
        "outcome": outcome,
    } | columns


def event(offset: int, place: tuple[int, int], subject: str, version: int, status: str) -> Row:
    kind = "deallocation" if subject == D else "allocation"
    return {"partition": place[0], "offset": offset, "source": place[1], "id": subject, "version": version} | {
        "kind": kind,
        "status": status,
    }


def right() -> dict[str, list[Row]]:
    pairs = [
        asked((0, 0), A, "reserve", FIVE, 1, word="reserved", version=1),
        asked((0, 1), A, "clear", "", 2, word="cleared", version=2),
        asked((0, 2), A, "clear", "", 3, word="cleared", version=2),
        asked((1, 0), D, "reserve", THREE, 4, word="reserved", version=1),
        asked((2, 0), T, "release", "", 5, status=404, word="not_found"),
        asked((2, 1), T, "reserve", FIVE, 6, status=409, word="already_released"),
    ]
    read = {
        "trace": "trace-read",
        "id": A,
        "kind": "allocation",
        "verb": "read",
        "start": 2.5,
        "end": 2.6,
        "status": 200,
    }
    moved = {"sequence": 1, "available": "0", "held": "0"}
    held = {"sequence": 2, "available": "5", "held": "0"}
    return {
        "call": [
            *(call for call, _ in pairs),
            read | {"word": "cleared", "version": 2, "jti": "token-read", "shared": 0},
        ],
        "record": [record for _, record in pairs],
        "journal": [
            journaled((0, 0), "applied", status="reserved", version=1),
            journaled((0, 1), "applied", status="cleared", version=2, **moved),
            journaled((0, 2), "repeated", status="cleared", version=2),
            journaled((1, 0), "applied", status="reserved", version=1, **held),
            journaled((2, 0), "refused", reason="not_found", status="tombstone", version=0),
            journaled((2, 1), "refused", reason="already_released", status="tombstone", version=0),
        ],
        "event": [
            event(0, (0, 0), A, 1, "reserved"),
            event(1, (0, 1), A, 2, "cleared"),
            event(0, (1, 0), D, 1, "reserved"),
        ],
        "allocation": [
            {"id": A, "kind": "allocation", "status": "cleared", "version": 2, "content": FIVE},
            {"id": D, "kind": "deallocation", "status": "reserved", "version": 1, "content": THREE},
            {"id": T, "kind": "allocation", "status": "tombstone", "version": 0, "content": ""},
        ],
        "account": [ACCOUNT | {"sequence": 2, "available": "2", "held": "3"}],
        "ledger": [
            ACCOUNT | {"partition": 0, "offset": 1, "debit": "custody", "credit": "available", "quantity": "5"},
            ACCOUNT | {"partition": 1, "offset": 0, "debit": "available", "credit": "held", "quantity": "3"},
        ],
        "foreign_record": [],
        "dead_letter": [],
        "dead_letter_copy": [],
    }


@dataclass
class Small:
    """The history, to be changed by table; `where` names a row by some of its columns."""

    tables: dict[str, list[Row]] = field(default_factory=right)

    def change(self, table: str, where: Mapping[str, Any], **columns: Any) -> None:
        [row] = self._found(table, where)
        row.update(columns)

    def drop(self, table: str, **where: Any) -> None:
        [row] = self._found(table, where)
        self.tables[table].remove(row)

    def add(self, table: str, *rows: Row) -> None:
        self.tables[table].extend(rows)

    def _found(self, table: str, where: Mapping[str, Any]) -> list[Row]:
        return [row for row in self.tables[table] if where.items() <= row.items()]

    def store(self) -> Store:
        store = Store()
        for table, rows in self.tables.items():
            columns = [column for _, column, *_ in store.rows(f"PRAGMA table_info({table})")]
            assert all(set(row) <= set(columns) for row in rows), f"{table} has other columns: {columns}"
            store.insert(table, [[row.get(column) for column in columns] for row in rows])
        return store

    def check(self, **options: Any) -> Findings:
        findings = Findings()
        check(self.store(), findings, **options)
        return findings
