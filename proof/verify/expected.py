"""The rows expected of consecutive records, by deciding each again with its recorded facts."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from processor.domain.batch import Batch, LedgerRow, Read
from processor.domain.journal import JournalRow
from processor.domain.rows import LoadedRows, Watermark
from processor.postgres.rows import dead_letter_row, ledger_row
from proof.log.replay import Recorded, replay
from proof.log.subject_tables import ADJUSTMENTS, ALLOCATIONS, CONNECTIONS
from proof.verify.differences import subject
from proof.verify.fold import AccountDecision, ConnectionRead, Fold, PlatformDecision
from proof.verify.usage import UsageDecision, usage_decisions
from schemas.commands import ActivateConnection, Command, Reserve
from schemas.events import AccountFact, Facts, PlatformAccountFact
from schemas.records import Position
from schemas.words import Outcome


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
        loaded = LoadedRows(
            watermarks={},
            states=fold.states(ALLOCATIONS, ids),
            accounts={},
            adjustments=fold.states(ADJUSTMENTS, ids),
            connections=fold.states(CONNECTIONS, ids),
        )
        self._batch = Batch(loaded, self._recorded)
        self._decisions: list[AccountDecision] = []
        self._platform_decisions: list[PlatformDecision] = []
        self._connection_reads: list[ConnectionRead] = []
        self._usages: list[UsageDecision] = []

    def add(self, each: Read, facts: Facts | None, last: bytes) -> Expected:
        """`last` is the hash beside the row before. Raises ArithmeticError as `replay` does."""
        batch = self._batch
        batch.accounts.clear()
        batch.platform_accounts.clear()
        batch.ledger.clear()
        batch.watermarks[self._partition] = Watermark(each.record.offset, last)
        parked = len(batch.dead_letters)
        replay(batch, self._recorded, each, facts)
        row, digest = batch.journal.pop()
        if facts is not None and row.facts is not None and isinstance(each.content, Command):
            self._note(row, each.content, Facts.model_validate(row.facts))
        self._usages += usage_decisions(row.facts, row.event, self._position(row), subject(row.kind, row.subject_id))
        return Expected(
            row,
            digest,
            [ledger_row(entry) for entry in batch.ledger],
            dead_letter_row(*batch.dead_letters[-1]) if len(batch.dead_letters) > parked else None,
        )

    def keep(self) -> None:
        """Let the fold have what became of the part."""
        batch = self._batch
        for table, before, after in (
            (ALLOCATIONS, batch.loaded.states, batch.states),
            (CONNECTIONS, batch.loaded.connections, batch.connections),
            (ADJUSTMENTS, batch.loaded.adjustments, batch.adjustments),
        ):
            self._fold.keep(table, {key: state for key, state in after.items() if state is not before.get(key)})
        self._fold.add_decisions(self._decisions)
        self._fold.add_platform_decisions(self._platform_decisions)
        self._fold.add_reads(self._connection_reads)
        self._fold.usages.add(self._usages)

    def _note(self, row: JournalRow, command: Command, facts: Facts) -> None:
        """What the decision says of others, to be compared when all is folded."""
        self._decisions.extend(self._decision(row, fact, self._batch.ledger) for fact in facts.all_accounts)
        if facts.platform_account is not None:
            self._platform_decisions.append(self._platform_decision(row, command, facts.platform_account))
        if isinstance(command, Reserve) and facts.connection_version is not None:
            self._connection_reads.append(self._connection_read(row, command, facts.connection_version))

    def _decision(self, row: JournalRow, fact: AccountFact, ledger: list[LedgerRow]) -> AccountDecision:
        key = fact.connection_id, fact.currency
        return AccountDecision(
            key=key,
            sequence=fact.sequence,
            available_before=int(fact.available_before),
            held_before=int(fact.held_before),
            movement=next((entry.movement for entry in ledger if entry.account == key), None),
            position=self._position(row),
            of=subject(row.kind, row.subject_id),
        )

    def _platform_decision(self, row: JournalRow, command: Command, fact: PlatformAccountFact) -> PlatformDecision:
        token_hash = command.token_hash if isinstance(command, ActivateConnection) else None
        return PlatformDecision(
            account=fact.partners_connection_id,
            sequence=fact.sequence,
            connected_before=fact.connected_before,
            connected_after=self._batch.platform_accounts[fact.partners_connection_id].connected_by,
            token_hash=token_hash,
            token_used_before=fact.token_used_before,
            spends=token_hash is not None and row.outcome is Outcome.APPLIED,
            position=self._position(row),
            of=subject(row.kind, row.subject_id),
        )

    def _connection_read(self, row: JournalRow, command: Reserve, version: int) -> ConnectionRead:
        rejected = row.event is not None and "rejectionReason" in row.event
        return ConnectionRead(
            connection_id=command.connection_id,
            version=version,
            client_id=command.client_id,
            partners_connection_id=command.partners_connection_id,
            partner_client_id=command.partner_client_id,
            reason=row.reason if rejected else None,
            position=self._position(row),
            of=subject(row.kind, row.subject_id),
        )

    def _position(self, row: JournalRow) -> str:
        return str(Position(self._topic, row.partition, row.offset))
