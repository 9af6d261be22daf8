"""Compares the rows of allocations, connections and adjustments with the states that follow from the log."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from proof.log.progress import Progress
from proof.log.snapshot import Snapshot
from proof.log.subject_tables import SubjectTable
from proof.verify.differences import Difference, Report, columns_differ, is_same
from proof.verify.fold import Fold
from proof.verify.merge_join import aligned


async def check_subjects(
    table: SubjectTable, fold: Fold, snapshot: Snapshot, report: Report, progress: Progress
) -> int:
    """Every column of every row; returns the number of ids."""
    count = 0
    progress.phase(f"{table.name}s", fold.count(table))
    async for subject_id, expected, row in aligned(fold.subjects(table), snapshot.subjects(table.name)):
        count += 1
        progress.advance(1)
        if words := _words(table, expected, row):
            report(Difference(table.name, subject_id, words))
    return count


def _words(table: SubjectTable, expected: list[Any] | None, row: Sequence[Any] | None) -> str:
    if expected is None:
        return "no such row follows from the log"
    if row is None:
        return "the row is missing"
    for each in map(table.columns.index, table.instants):
        expected[each] = datetime.fromisoformat(expected[each]) if expected[each] else None
    if all(map(is_same, expected, row)):
        return ""
    names = table.columns
    return columns_differ(dict(zip(names, row, strict=True)), dict(zip(names, expected, strict=True)))
