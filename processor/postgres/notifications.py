"""The notifications that follow a commit: positions, and the outcomes of a small batch (record 0015)."""

from collections.abc import Iterator
from typing import Any, Final

from processor.domain.batch import Batch
from processor.domain.journal import JournalRow
from processor.domain.machine import Allocation
from processor.postgres.rows import allocation_row
from schemas.notifications import CONNECTION_CONTENT, CONTENT, encode_notifications
from schemas.words import Kind, Subject

OUTCOME: Final = (
    *("partition", "offset", "command_id", "subject_id", "kind", "verb", "outcome", "reason"),
    *("status_after", "version_after"),
)
OUTCOMES_MAX: Final = 64
"""The outcomes of a larger batch are left out: the ingress reads them in one query, which costs no more."""


def notifications(batch: Batch) -> Iterator[str]:
    """The new watermarks, and for each command the outcome as an ingress would read it."""
    next_offsets = {partition: mark.next_offset for partition, mark in batch.watermarks.items()}
    rows = batch.journal if len(batch.journal) <= OUTCOMES_MAX else []
    return encode_notifications(next_offsets, (_outcome(row, batch) for row, _ in rows if row.subject_id))


def _outcome(row: JournalRow, batch: Batch) -> dict[str, Any]:
    """What `ingress/postgres/sql/outcomes.sql` reads. A parked record has no id and is read: its bytes prove it."""
    return {name: getattr(row, name) for name in OUTCOME} | {"content": _content(row, batch)}


def _content(row: JournalRow, batch: Batch) -> dict[str, Any] | None:
    if row.kind is Subject.CONNECTION:
        connection = batch.connections.get(row.subject_id or "")
        return connection and {name: getattr(connection, name) for name in CONNECTION_CONTENT}
    state = batch.states.get(row.subject_id or "") if isinstance(row.kind, Kind) else None
    if not isinstance(state, Allocation):
        return None
    columns = allocation_row(state)
    return {name: columns[name] for name in CONTENT}
