"""The notifications that follow a commit: positions, and the outcomes of a small batch (record 0015)."""

from collections.abc import Iterator
from typing import Any, Final

from processor.domain.batch import Batch
from processor.domain.journal import JournalRow
from processor.domain.machine import Allocation, State
from schemas.notifications import encode_notifications

OUTCOMES_MAX: Final = 64
"""The outcomes of a larger batch are left out: the ingress reads them in one query, which costs no more."""


def notifications(batch: Batch) -> Iterator[str]:
    """The new watermarks, and for each command the outcome as an ingress would read it."""
    next_offsets = {partition: mark.next_offset for partition, mark in batch.watermarks.items()}
    rows = batch.journal if len(batch.journal) <= OUTCOMES_MAX else []
    return encode_notifications(next_offsets, (_outcome(row, batch) for row, _ in rows if row.allocation_id))


def _outcome(row: JournalRow, batch: Batch) -> list[Any]:
    """The columns of `ingress/postgres/sql/outcomes.sql`. A parked record has no id and is read: its bytes prove it."""
    columns = [row.partition, row.offset, row.command_id, row.allocation_id, row.kind, row.verb, row.outcome]
    columns += [row.reason, row.status_after, row.version_after, None]
    return columns + _content(batch.states.get(row.allocation_id or ""))


def _content(state: State) -> list[Any]:
    if not isinstance(state, Allocation):
        return [None] * 8
    return [
        state.amount.currency,
        state.amount.quantity,
        state.client_id,
        state.connection_id,
        state.partners_connection_id,
        state.partner_allocation_id,
        state.extras.partner_client_id,
        state.edition.model_dump(by_alias=True),
    ]
