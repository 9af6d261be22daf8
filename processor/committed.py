"""What this process has committed, which a failover to a standby that lacks some of it must not change (record 0024).

Postgres with an asynchronous standby loses its last commits at a failover, and the log still has their commands. They
are decided again, and must come out as they were answered: with other balances, because another partition came first,
they would not.
"""

from collections import deque
from collections.abc import Mapping
from typing import Final

from processor.domain.batch import Batch

ROWS_KEPT: Final = 2_000
"""Of each partition. Whatever is older has been published for long, and the start checks know it from its event."""


class ContradictionError(Exception):
    """A command would be decided otherwise than it was decided, committed and answered before."""

    def __init__(self, partition: int, offset: int) -> None:
        super().__init__(
            f"the database has lost commits, and offset {offset} of partition {partition} would now be decided "
            "otherwise than it was answered"
        )


class Committed:
    """The hashes of the last journal rows of each partition, as far as this process has written them."""

    def __init__(self) -> None:
        self._hashes: dict[int, deque[bytes]] = {}
        self._next: dict[int, int] = {}

    def next_offsets(self) -> Mapping[int, int]:
        """By partition: what the tables have at least, unless they have lost something."""
        return dict(self._next)

    def note(self, batch: Batch) -> None:
        """Remember the rows of a batch, whose commit was confirmed.

        One that was lost and is decided again came out as before, or `check` had raised: those after it, which are not
        written again yet, are still to be kept to.
        """
        for row, digest in batch.journal:
            partition, offset, end = row.partition, row.offset, self._next.get(row.partition, 0)
            if offset < end:
                continue
            if offset > end or partition not in self._hashes:
                self._hashes[partition] = deque(maxlen=ROWS_KEPT)
            self._hashes[partition].append(digest)
            self._next[partition] = offset + 1

    def check(self, batch: Batch) -> None:
        """Raises ContradictionError if a row of the batch is not the one that was committed at its offset."""
        loaded = batch.loaded.watermarks
        if all(mark.next_offset >= self._next.get(partition, 0) for partition, mark in loaded.items()):
            return
        for row, digest in batch.journal:
            before = self._at(row.partition, row.offset)
            if before is not None and before != digest:
                raise ContradictionError(row.partition, row.offset)

    def _at(self, partition: int, offset: int) -> bytes | None:
        back = self._next.get(partition, 0) - offset
        known = self._hashes.get(partition, ())
        return known[-back] if 0 < back <= len(known) else None
