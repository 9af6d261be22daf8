"""The notifications that follow a commit: positions, and the outcomes of a small batch (record 0015)."""

from collections.abc import Iterator
from typing import Any, Final

from processor.domain.batch import Batch
from processor.domain.journal import JournalRow
from processor.domain.machine import Allocation, State
from processor.postgres.rows import allocation_row
from schemas.notifications import CONTENT, encode_notifications

OUTCOME: Final = (
    *("partition", "offset", "command_id", "allocation_id", "kind", "verb", "outcome", "reason"),
    *("status_after", "version_after"),
)
OUTCOMES_MAX: Final = 64
"""The outcomes of a larger batch are left out: the ingress reads them in one query, which costs no more."""


def notifications(batch: Batch) -> Iterator[str]:
    """The new watermarks, and for each command the outcome as an ingress would read it."""
    next_offsets = {partition: mark.next_offset for partition, mark in batch.watermarks.items()}
    rows = batch.journal if len(batch.journal) <= OUTCOMES_MAX else []
    return encode_notifications(next_offsets, (_outcome(row, batch) for row, _ in rows if row.allocation_id))


def _outcome(row: JournalRow, batch: Batch) -> dict[str, Any]:
    """What `ingress/postgres/sql/outcomes.sql` reads. A parked record has no id and is read: its bytes prove it."""
    return {name: getattr(row, name) for name in OUTCOME} | {
        "content": _content(batch.states.get(row.allocation_id or ""))
    }


def _content(state: State) -> dict[str, Any] | None:
    if not isinstance(state, Allocation):
        return None
    row = allocation_row(state)
    return {name: row[name] for name in CONTENT}
