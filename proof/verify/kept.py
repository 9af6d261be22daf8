"""Compares the rows that a checkpoint keeps with the tables and the log: nothing changes them.

They stay where rows were pruned. Only a dead letter that was retried or discarded since the checkpoint may be gone,
with its journal row. Of the log, the last record of each partition is compared, if the log still has it.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from proof.checkpoint.kept import kept_row
from proof.log.snapshot import Snapshot
from proof.log.streams import Published
from proof.verify.differences import Difference, Report, columns_differ, subject
from schemas.records import Position
from service.log_checks import is_same_record

_IN_CHECKPOINT: Final = "is in the checkpoint"


class KeptRows:
    """`gone`: by partition, where rows may be missing before, because they were pruned; `records`: the last ones."""

    def __init__(
        self,
        topic: str,
        tables: Snapshot,
        gone: Mapping[int, int],
        records: Mapping[int, Published],
        report: Report,
    ) -> None:
        self._topic = topic
        self._tables = tables
        self._gone = gone
        self._records = records
        self._report = report

    async def check(self, kept: Mapping[str, Any]) -> None:
        """One line of the file: a journal row, its ledger rows and its dead letter."""
        journal = kept["journal"]
        partition, offset = journal["partition"], journal["offset"]
        place, of = str(Position(self._topic, partition, offset)), subject(journal["kind"], journal["subject_id"])
        if not self._has_log(partition, offset, kept):
            words = "it is another record than the checkpoint has: the topic was created again"
            self._report(Difference(self._topic, place, words, of))
        found = kept_row(await self._tables.rows(partition, offset, offset + 1), offset)
        if found is None and await self._was_pruned(partition, offset):
            return
        for table, words in _differences(found, kept):
            self._report(Difference(table, place, words, of))

    def _has_log(self, partition: int, offset: int, kept: Mapping[str, Any]) -> bool:
        """Whether the log has this record, as far as is known."""
        record, letter = self._records.get(partition), kept["dead_letter"]
        if record is None or record.offset != offset:
            return True
        value = bytes.fromhex(letter["value"]) if letter and letter["value"] is not None else None
        return is_same_record(record.value, kept["journal"]["command_id"], value)

    async def _was_pruned(self, partition: int, offset: int) -> bool:
        return offset < self._gone.get(partition, 0) and await self._tables.is_handled(partition, offset)


def _differences(found: Mapping[str, Any] | None, kept: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Table and words."""
    if found is None:
        yield "journal", "the row is missing"
        return
    is_, should = found["journal"]["hash"], kept["journal"]["hash"]
    if is_ != should:
        yield "chain", f"the hash is {is_}, and {should} {_IN_CHECKPOINT}"
    if words := columns_differ(found["journal"] | {"hash": should}, kept["journal"], _IN_CHECKPOINT):
        yield "journal", words
    if words := _entries_differ(found["ledger"], kept["ledger"]):
        yield "ledger", words
    if words := _letters_differ(found["dead_letter"], kept["dead_letter"]):
        yield "dead_letter", words


def _entries_differ(found: list[dict[str, Any]], kept: list[dict[str, Any]]) -> str:
    if len(found) != len(kept):
        return f"there are {len(found)} rows, and {len(kept)} are in the checkpoint"
    each = (columns_differ(*pair, _IN_CHECKPOINT) for pair in zip(found, kept, strict=True))
    return "; ".join(filter(None, each))


def _letters_differ(found: dict[str, Any] | None, kept: dict[str, Any] | None) -> str:
    if found is None or kept is None:
        return "" if found is kept else "the row is missing" if found is None else "no such row is in the checkpoint"
    return columns_differ(found, kept, _IN_CHECKPOINT)
