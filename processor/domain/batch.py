"""What a batch of records changes in the tables, computed in memory. Pure: the store loads before and commits after."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from processor.domain.account import READS_ACCOUNT, Account, AccountKey, Movement, apply_decision, movement_of
from processor.domain.journal import JournalRow, status_of, version_of
from processor.domain.machine import Allocation, Applied, Decision, Refused, State, Tombstone, Verdict, decide, evolve
from processor.domain.policy import APPROVED_UNASKED, Judge
from schemas.commands import Command, Reserve
from schemas.events import AccountFact, Event, Facts, Opened, PolicyFact
from schemas.records import Headers, ParkedError, decode_command, event_document, facts_document, traceparent_of
from schemas.undecodable import Undecodable, content_of
from schemas.words import Kind, Outcome, ParkReason, Verb


class Record(NamedTuple):
    """A record of the commands topic as it came from Kafka."""

    partition: int
    offset: int
    recorded_at: datetime
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True, slots=True)
class Parked:
    """Why a record is not a command and becomes a dead letter."""

    reason: ParkReason
    detail: str


class Read(NamedTuple):
    """A record and its decoded content."""

    record: Record
    content: Command | Parked


def read(record: Record, partitions: int) -> Read:
    """Raises NewerSchemaError: such a record can neither be applied nor parked."""
    if isinstance(record.value, Undecodable):
        kept = record._replace(value=content_of(record.value))
        return Read(kept, Parked(ParkReason.UNDECODABLE, record.value.reason))
    try:
        return Read(record, decode_command(record.key, record.value, record.partition, partitions))
    except ParkedError as error:
        return Read(record, Parked(error.reason, str(error)))


class Watermark(NamedTuple):
    """A partition's next offset to apply, and the hash of the last journal row before it."""

    next_offset: int
    hash: bytes


class LedgerRow(NamedTuple):
    partition: int
    offset: int
    account: AccountKey
    movement: Movement


@dataclass(frozen=True, slots=True)
class LoadedRows:
    """The rows that a batch needs, as they were at one instant. An id or an account without a row is missing."""

    watermarks: Mapping[int, Watermark]
    states: Mapping[str, State]
    accounts: Mapping[AccountKey, Account]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The rows that records ask for.

    `moved_ids` are the allocations whose accounts are wanted with them, `opened_ids` those that begin with a reserve.
    """

    partitions: AbstractSet[int]
    allocation_ids: AbstractSet[str]
    opened_ids: AbstractSet[str]
    moved_ids: AbstractSet[str]
    accounts: AbstractSet[AccountKey]


def wanted(reads: Iterable[Read]) -> Wanted:
    """The rows to load, as far as the records alone determine them."""
    reads = list(reads)
    commands = [each.content for each in reads if isinstance(each.content, Command)]
    moved = {command.allocation_id for command in commands if _may_move(command)}
    first = {command.allocation_id: command for command in reversed(commands)}
    return Wanted(
        partitions={each.record.partition for each in reads},
        allocation_ids=first.keys(),
        opened_ids={allocation_id for allocation_id, command in first.items() if isinstance(command, Reserve)},
        moved_ids=moved,
        accounts={
            (each.connection_id, each.amount.currency)
            for each in commands
            if isinstance(each, Reserve) and each.allocation_id in moved
        },
    )


def _may_move(command: Command) -> bool:
    """Whether a command may read or move an account: all but the reserve and the release of an allocation."""
    return command.kind is Kind.DEALLOCATION or command.verb is Verb.CLEAR


class Batch:
    """Decides records in order, each on the state that the previous one left.

    Starts from the loaded rows. Afterwards `watermarks`, `states` and `accounts` hold the new values, and
    `journal`, `ledger` and `dead_letters` are the rows to add.
    """

    def __init__(self, loaded: LoadedRows, policy: Judge) -> None:
        self.loaded = loaded
        self.watermarks = dict(loaded.watermarks)
        self.states = dict(loaded.states)
        self.accounts = dict(loaded.accounts)
        self.journal: list[tuple[JournalRow, bytes]] = []
        self.ledger: list[LedgerRow] = []
        self.dead_letters: list[tuple[Record, Parked]] = []
        self._policy = policy

    def add(self, each: Read) -> None:
        """Decide one record and journal it."""
        record = each.record
        row = (
            self._park(record, each.content) if isinstance(each.content, Parked) else self._apply(record, each.content)
        )
        digest = row.hash(self.watermarks[record.partition].hash)
        self.watermarks[record.partition] = Watermark(record.offset + 1, digest)
        self.journal.append((row, digest))

    def _park(self, record: Record, parked: Parked) -> JournalRow:
        self.dead_letters.append((record, parked))
        return JournalRow(
            partition=record.partition,
            offset=record.offset,
            recorded_at=record.recorded_at,
            outcome=Outcome.PARKED,
            reason=parked.reason,
            traceparent=traceparent_of(record.headers),
        )

    def _apply(self, record: Record, command: Command) -> JournalRow:
        before = self.states.get(command.allocation_id)
        verdict = self._verdict(command)
        decision = decide(before, command, verdict, record.recorded_at)
        event, facts = None, None
        if isinstance(decision, Applied):
            event, facts = decision.event, self._evolve(record, before, decision.event, verdict)
        elif isinstance(decision, Refused) and decision.leaves_tombstone:
            self.states[command.allocation_id] = Tombstone(command.allocation_id, command.kind, record.recorded_at)
        after = self.states.get(command.allocation_id)
        return JournalRow(
            partition=record.partition,
            offset=record.offset,
            recorded_at=record.recorded_at,
            outcome=decision.outcome,
            command_id=command.command_id,
            allocation_id=command.allocation_id,
            kind=command.kind,
            verb=command.verb,
            reason=_reason(decision, after),
            status_before=status_of(before),
            version_before=version_of(before),
            status_after=status_of(after),
            version_after=version_of(after),
            event=event_document(event) if event else None,
            facts=facts_document(facts) if facts else None,
            traceparent=traceparent_of(record.headers),
        )

    def _verdict(self, command: Command) -> Verdict:
        if not isinstance(command, Reserve):
            return APPROVED_UNASKED
        return self._policy.judge(command, self.accounts.get((command.connection_id, command.amount.currency)))

    def _evolve(self, record: Record, before: State, event: Event, verdict: Verdict) -> Facts:
        """Apply the event to the allocation and its account; returns the facts of the decision."""
        self.states[event.allocation_id] = evolve(before if isinstance(before, Allocation) else None, event)
        policy = None
        if isinstance(event, Opened) and verdict.result is not None:
            policy = PolicyFact(verdict=verdict.result, reason=verdict.reason, settings_version=self._policy.version)
        return Facts(policy=policy, account=self._move(record, event))

    def _move(self, record: Record, event: Event) -> AccountFact | None:
        if (event.kind, event.status) not in READS_ACCOUNT:
            return None
        key = event.connection_id, event.amount.currency
        before = self.accounts.get(key) or Account(*key)
        movement = movement_of(event.kind, event.status, int(event.amount.quantity))
        after = self.accounts[before.key] = apply_decision(before, movement)
        if movement is not None:
            self.ledger.append(LedgerRow(record.partition, record.offset, after.key, movement))
        return AccountFact(
            connection_id=after.connection_id,
            currency=after.currency,
            sequence=after.sequence,
            available_before=str(before.available),
            held_before=str(before.held),
        )


def _reason(decision: Decision, after: State) -> str | None:
    """The refusal, or the rejection that the id now has."""
    if isinstance(decision, Refused):
        return decision.reason
    return after.rejection_reason if isinstance(after, Allocation) else None
