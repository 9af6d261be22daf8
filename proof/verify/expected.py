"""The rows expected of consecutive records, by deciding each again with its recorded facts."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from processor.domain.batch import Batch, LedgerRow, Read
from processor.domain.journal import JournalRow
from processor.domain.rows import LoadedRows, Watermark
from processor.postgres.rows import dead_letter_row, ledger_row
from proof.log.replay import Recorded, replay
from proof.verify.fold import AccountDecision, Fold
from proof.verify.usage import UsageDecision, usage_decisions
from schemas.commands import Command
from schemas.events import Facts
from schemas.records import Position


@dataclass(frozen=True, slots=True)
class Expected:
    """The rows that one record leads to. `digest` is the journal row's hash, if the row before is as it is stored."""

    row: JournalRow
    digest: bytes
    ledger: list[dict[str, Any]]
    dead_letter: dict[str, Any] | None


class LogSection:
    """Consecutive records of one partition, on the states that the fold has before them."""

    def __init__(self, fold: Fold, topic: str, partition: int, reads: Collection[Read]) -> None:
        ids = {each.content.subject_id for each in reads if isinstance(each.content, Command)}
        self._fold = fold
        self._topic = topic
        self._partition = partition
        self._recorded = Recorded()
        self._batch = Batch(LoadedRows({}, fold.states(ids), {}), self._recorded)
        self._decisions: list[AccountDecision] = []
        self._usages: list[UsageDecision] = []

    def add(self, each: Read, facts: Facts | None, last: bytes) -> Expected:
        """`last` is the hash beside the row before. Raises ArithmeticError as `replay` does."""
        batch = self._batch
        batch.accounts.clear()
        batch.ledger.clear()
        batch.watermarks[self._partition] = Watermark(each.record.offset, last)
        parked = len(batch.dead_letters)
        replay(batch, self._recorded, each, facts)
        row, digest = batch.journal.pop()
        if facts is not None and facts.account is not None and row.facts is not None and "account" in row.facts:
            self._decisions.append(self._decision(row, row.facts["account"], batch.ledger))
        position = str(Position(self._topic, row.partition, row.offset))
        self._usages += usage_decisions(row.facts, row.event, position, row.subject_id)
        return Expected(
            row,
            digest,
            [ledger_row(entry) for entry in batch.ledger],
            dead_letter_row(*batch.dead_letters[-1]) if len(batch.dead_letters) > parked else None,
        )

    def keep(self) -> None:
        """Let the fold have what became of the part."""
        before, after = self._batch.loaded.states, self._batch.states
        self._fold.keep({key: state for key, state in after.items() if state is not before.get(key)})
        self._fold.add_decisions(self._decisions)
        self._fold.usages.add(self._usages)

    def _decision(self, row: JournalRow, fact: dict[str, Any], ledger: list[LedgerRow]) -> AccountDecision:
        return AccountDecision(
            key=(fact["connectionId"], fact["currency"]),
            sequence=fact["sequence"],
            available_before=int(fact["availableBefore"]),
            held_before=int(fact["heldBefore"]),
            movement=ledger[0].movement if ledger else None,
            position=str(Position(self._topic, row.partition, row.offset)),
            allocation_id=row.subject_id,
        )
