"""Checks the sums of days: every decision in sequence order, on the sum that the one before left (decision 5)."""

import heapq
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

from processor.domain.usage import Usage, UsageKey, count, usages_before
from processor.postgres.rows import usage_of_row, usage_row
from proof.log.snapshot import Snapshot
from proof.verify.differences import Difference, Report, columns_differ
from proof.verify.merge_join import aligned
from schemas.events import Facts

_SCHEMA: Final = """
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA temp_store = FILE;
    CREATE TABLE usage (
        scope TEXT, id TEXT, kind TEXT, currency TEXT, day TEXT, sequence INTEGER NOT NULL, total TEXT NOT NULL,
        PRIMARY KEY (scope, id, kind, currency, day)
    );
    CREATE TABLE decision (
        scope TEXT, id TEXT, kind TEXT, currency TEXT, day TEXT, sequence INTEGER NOT NULL, total TEXT NOT NULL,
        quantity TEXT NOT NULL, position TEXT NOT NULL, of TEXT
    );
    BEGIN;
"""
_KEY: Final = "scope, id, kind, currency, day"


class UsageDecision(NamedTuple):
    """A decision that read a sum: what it found, and by how much it moved it."""

    before: Usage
    quantity: int
    position: str
    of: str | None


def usage_decisions(
    facts: dict[str, Any] | None, event: dict[str, Any] | None, position: str, of: str | None
) -> Iterator[UsageDecision]:
    """As a journal row has them."""
    if not facts or not event or not facts.get("usage"):
        return
    quantity = 0 if "rejectionReason" in event else int(event["amount"]["quantity"])
    for before in usages_before(Facts.model_validate(facts).usage):
        yield UsageDecision(before, quantity, position, of)


class UsageFold:
    """On disk, as the rest of the fold is."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        self._database.close()

    def begin_with(self, rows: Iterable[Sequence[Any]]) -> None:
        """Know the sums of a checkpoint."""
        self._database.executemany("INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def add(self, decisions: Iterable[UsageDecision]) -> None:
        self._database.executemany(
            "INSERT INTO decision VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            ((*usage_row(each.before).values(), str(each.quantity), each.position, each.of) for each in decisions),
        )

    def sums(self) -> Iterator[Usage]:
        """Those that it began with, in order."""
        return map(usage_of_row, self._database.execute(f"SELECT * FROM usage ORDER BY {_KEY}"))  # noqa: S608

    def decisions(self) -> Iterator[UsageDecision]:
        """Sum by sum, in the order of their sequences."""
        for row in self._database.execute(f"SELECT * FROM decision ORDER BY {_KEY}, sequence"):  # noqa: S608
            yield UsageDecision(usage_of_row(row[:7]), int(row[7]), row[8], row[9])


async def check_usages(fold: UsageFold, snapshot: Snapshot, report: Report) -> int:
    """Facts and rows; returns the number of sums."""
    number = 0
    async for key, expected, row in aligned(folded(fold, report), snapshot.usages()):
        number += 1
        if expected is None:
            report(_difference(key, "no such sum follows from the log"))
        elif row is None:
            report(_difference(key, "the row is missing"))
        elif differs := columns_differ(usage_row(usage_of_row(row)), usage_row(expected)):
            report(_difference(key, differs))
    return number


def folded(fold: UsageFold, report: Report) -> Iterator[tuple[tuple[str, ...], Usage]]:
    """Each sum after its last decision."""
    both: Iterator[Usage | UsageDecision] = heapq.merge(
        fold.sums(), fold.decisions(), key=lambda each: _text(_key(each))
    )
    for key, own in groupby(both, _key):
        usage = Usage(key)
        for each in own:
            usage = each if isinstance(each, Usage) else _after(usage, each, report)
        yield _text(key), usage


def _after(usage: Usage, decision: UsageDecision, report: Report) -> Usage:
    if decision.before != usage:
        differs = columns_differ(usage_row(decision.before), usage_row(usage))
        report(_difference(_text(usage.key), f"as {decision.position} found it: {differs}", decision.of))
    return count(decision.before, decision.quantity)


def _key(each: Usage | UsageDecision) -> UsageKey:
    return each.key if isinstance(each, Usage) else each.before.key


def _text(key: UsageKey) -> tuple[str, ...]:
    return (*key[:4], key.day.isoformat())


def _difference(key: tuple[str, ...], words: str, of: str | None = None) -> Difference:
    return Difference("daily_usage", "/".join(key), words, of)
