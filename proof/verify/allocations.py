"""Compares allocation rows with the states that follow from the log."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from processor.postgres.rows import ALLOCATION_COLUMNS
from proof.log.progress import Progress
from proof.log.snapshot import Snapshot
from proof.verify.differences import Difference, Report, columns_differ
from proof.verify.fold import Fold
from proof.verify.merge_join import aligned

_INSTANTS: Final = tuple(ALLOCATION_COLUMNS.index(name) for name in ("created_at", "updated_at", "reissued_at"))


async def check_allocations(fold: Fold, snapshot: Snapshot, report: Report, progress: Progress) -> int:
    """Every column of every row; returns the number of ids."""
    count = 0
    progress.phase("allocations", fold.count())
    async for allocation_id, expected, row in aligned(fold.allocations(), snapshot.allocations()):
        count += 1
        progress.advance(1)
        if words := _words(expected, row):
            report(Difference("allocation", allocation_id, words, allocation_id))
    return count


def _words(expected: list[Any] | None, row: Sequence[Any] | None) -> str:
    if expected is None:
        return "no such row follows from the log"
    for each in _INSTANTS:
        expected[each] = datetime.fromisoformat(expected[each]) if expected[each] else None
    if row is None:
        return "the row is missing"
    if expected == list(row):
        return ""
    names = ALLOCATION_COLUMNS
    return columns_differ(dict(zip(names, row, strict=True)), dict(zip(names, expected, strict=True)))
