"""Compares one partition of the log with its journal, ledger, dead letters and publications."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from processor.domain.batch import Read
from processor.domain.journal import JournalRow
from processor.relay.outbox import dead_letter_copy, dead_letter_stub, event_record
from proof.log.facts import recorded_facts
from proof.log.progress import Progress
from proof.log.snapshot import Rows, Snapshot, StoredRow
from proof.log.streams import TOGETHER_BYTES, Published, Stream, bytes_of, read_again
from proof.verify.chain import Chain
from proof.verify.differences import Difference, Report, columns_differ, is_same, subject
from proof.verify.expected import Expected, LogSection
from proof.verify.fold import Fold
from proof.verify.published import Publications
from proof.verify.verdicts import verdict_problem
from schemas.commands import Command
from schemas.records import Position
from schemas.topics import Topics

PART_OFFSETS: Final = 2000


@dataclass(frozen=True)
class Sources:
    """What is read side by side. `start` and `beyond` are the offsets that the journal must cover."""

    partition: int
    start: int
    beyond: int
    commands: Stream
    events: Publications
    dead_letters: Publications
    chain: Chain


class PartitionCheck:
    def __init__(
        self,
        sources: Sources,
        snapshot: Snapshot,
        fold: Fold,
        topics: Topics,
        partitions: int,
        report: Report,
    ) -> None:
        self._sources = sources
        self._snapshot = snapshot
        self._fold = fold
        self._topics = topics
        self._partitions = partitions
        self._report = report

    async def run(self, progress: Progress) -> None:
        first, beyond = self._sources.start, self._sources.beyond
        while first < beyond:
            end = min(first + PART_OFFSETS, beyond)
            records = await self._sources.commands.before(end)
            if sum(map(bytes_of, records)) >= TOGETHER_BYTES:
                end = records[-1].offset + 1
            await self._check_part(records, first, end)
            progress.advance(end - first)
            first = end
        self._sources.chain.end()

    async def _check_part(self, records: list[Published], first: int, beyond: int) -> None:
        sources = self._sources
        rows = await self._snapshot.rows(sources.partition, first, beyond)
        reads = {record.offset: read_again(record, self._partitions) for record in records}
        events = await sources.events.before(beyond)
        dead_letters = await sources.dead_letters.before(beyond)
        part = LogSection(self._fold, self._topics.commands, sources.partition, reads.values())
        for offset in range(first, beyond):
            expected = self._check_row(part, offset, reads.get(offset), rows, events.get(offset))
            if expected is not None:
                self._check_effects(offset, expected, rows)
                self._check_published(offset, expected, rows.journal.get(offset), events, dead_letters)
        part.keep()

    def _check_row(
        self, part: LogSection, offset: int, each: Read | None, rows: Rows, event: Published | None
    ) -> Expected | None:
        """The journal row and its place in the chain; returns what follows from the record, None when nothing does."""
        stored, chain = rows.journal.get(offset), self._sources.chain
        expected = None
        if each is None:
            self._say("journal", offset, "the log has no such record", _row_subject(stored.row) if stored else None)
        else:
            expected = self._decide_again(part, each, stored, event)
        if stored is None:
            self._say("journal", offset, "the row is missing", _subject(each))
            return expected
        digest = None if expected is None else self._compare(stored, expected)
        chain.add(stored, digest or stored.row.hash(chain.last))
        return expected

    def _decide_again(
        self, part: LogSection, each: Read, stored: StoredRow | None, event: Published | None
    ) -> Expected | None:
        try:
            expected = part.add(each, recorded_facts(event, stored), self._sources.chain.last)
        except ArithmeticError:
            words = "by what was recorded of this decision, a balance falls below zero"
            self._say("journal", each.record.offset, words, _subject(each))
            return None
        if problem := verdict_problem(expected.row):
            self._say("journal", each.record.offset, problem, _row_subject(expected.row))
        return expected

    def _compare(self, stored: StoredRow, expected: Expected) -> bytes | None:
        """The hash that follows from the stored row, when it is the expected one."""
        if _is_same_row(stored.row, expected.row):
            return expected.digest
        found, should = _columns(stored), _columns(expected)
        self._say("journal", stored.row.offset, columns_differ(found, should), _row_subject(expected.row))
        return None

    def _check_effects(self, offset: int, expected: Expected, rows: Rows) -> None:
        of = _row_subject(expected.row)
        entries = rows.ledger.get(offset, [])
        if entries != expected.ledger:
            self._say("ledger", offset, _entries_differ(entries, expected.ledger), of)
        letter = rows.dead_letters.get(offset)
        if letter != expected.dead_letter:
            self._say("dead_letter", offset, _row_differs(letter, expected.dead_letter), of)

    def _check_published(
        self,
        offset: int,
        expected: Expected,
        stored: StoredRow | None,
        events: Mapping[int, Published],
        dead_letters: Mapping[int, Published],
    ) -> None:
        sources, row, letter = self._sources, expected.row, expected.dead_letter
        digest = stored.hash if stored else expected.digest
        event = row.event and event_record(
            self._topics, row.partition, offset, row.subject_id or "", row.event, row.facts, digest
        )
        sources.events.check(offset, events.get(offset), *([event] if event else []))
        sources.dead_letters.check(offset, dead_letters.get(offset), *self._letters(row.partition, offset, letter))

    def _letters(self, partition: int, offset: int, letter: Mapping[str, Any] | None) -> list[dict[str, Any]]:
        """The two records as which a dead letter may be published."""
        if letter is None:
            return []
        copied, stubbed = ("reason", "key", "value", "header_names", "header_values"), ("reason", "key", "value")
        return [
            dead_letter_copy(self._topics, partition, offset, *(letter[name] for name in copied)),
            dead_letter_stub(self._topics, partition, offset, *(letter[name] for name in stubbed)),
        ]

    def _say(self, table: str, offset: int, words: str, of: str | None) -> None:
        position = Position(self._topics.commands, self._sources.partition, offset)
        self._report(Difference(table, str(position), words, of))


def _subject(each: Read | None) -> str | None:
    return subject(each.content.kind, each.content.subject_id) if each and isinstance(each.content, Command) else None


def _row_subject(row: JournalRow) -> str | None:
    return subject(row.kind, row.subject_id)


def _is_same_row(one: JournalRow, other: JournalRow) -> bool:
    return one == other and is_same(one.event, other.event) and is_same(one.facts, other.facts)


def _columns(of: StoredRow | Expected) -> dict[str, Any]:
    return of.row.columns() | {"recorded_at": of.row.recorded_at, "traceparent": of.row.traceparent}


def _entries_differ(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> str:
    if len(found) == len(expected):
        return "; ".join(columns_differ(*pair) for pair in zip(found, expected, strict=True) if pair[0] != pair[1])
    return f"there are {len(found)} rows, and {len(expected)} follow from the log"


def _row_differs(found: dict[str, Any] | None, expected: dict[str, Any] | None) -> str:
    if found is None or expected is None:
        return "the row is missing" if found is None else "no such row follows from the log"
    return columns_differ(found, expected)
