"""What a batch of records changes in the tables, computed in memory. Pure: the store loads before and commits after."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from processor.domain import rows
from processor.domain.account import (
    READS_ACCOUNT,
    Account,
    AccountKey,
    Movement,
    adjustment_of,
    apply_decision,
    movement_of,
)
from processor.domain.adjustment import BOOKED, Adjustment, decide_adjustment, evolve_adjustment
from processor.domain.connection import (
    Connection,
    Found,
    PlatformAccount,
    decide_connection,
    evolve_connection,
    evolve_platform_account,
    holds_assets,
    platform_account_of,
)
from processor.domain.journal import JournalRow, status_of, version_of
from processor.domain.machine import (
    Allocation,
    Applied,
    Decision,
    Refused,
    State,
    Tombstone,
    asks_policy,
    decide,
    evolve,
)
from processor.domain.policy import APPROVED_UNASKED, Judge, Judged, Known, Policy
from processor.domain.rows import LoadedRows, Wanted, Watermark
from processor.domain.usage import UsageKey, count, usage_fact
from schemas.commands import ActivateConnection, AdjustBalance, AllocationCommand, Command, ConnectionCommand, Reserve
from schemas.events import (
    AccountFact,
    AllocationEvent,
    BalanceAdjusted,
    ConnectionEvent,
    ConnectionRefused,
    Event,
    Facts,
    Opened,
    PlatformAccountFact,
    PolicyFact,
)
from schemas.records import Headers, ParkedError, decode_command, event_document, facts_document, traceparent_of
from schemas.undecodable import Undecodable, content_of
from schemas.words import Outcome, ParkReason, Status


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


def wanted(reads: Iterable[Read], *, connections: bool = True, usages: Iterable[UsageKey] = ()) -> Wanted:
    """The rows to load, as far as the records alone determine them; the connections of reserves only if asked.

    `usages`: the sums to load besides, because a limit is configured for them, or an event names them.
    """
    reads = list(reads)
    return rows.wanted(
        {each.record.partition for each in reads},
        (each.content for each in reads if isinstance(each.content, Command)),
        connections=connections,
        usages=usages,
    )


def usages_of(reads: Iterable[Read], policy: Policy) -> set[UsageKey]:
    """The sums of days that reserves may be measured against."""
    return {
        key
        for record, content in reads
        if isinstance(content, Reserve)
        for key in policy.usage_keys(content, record.recorded_at)
    }


class LedgerRow(NamedTuple):
    """`sequence`: the account's, after the decision that moved it."""

    partition: int
    offset: int
    account: AccountKey
    sequence: int
    movement: Movement


class _Decided(NamedTuple):
    """What became of a command: the columns of its journal row that follow from the decision."""

    outcome: Outcome
    reason: str | None
    status_before: str | None
    version_before: int | None
    status_after: str | None
    version_after: int | None
    event: Event | None
    facts: Facts | None


class Batch:
    """Decides records in order, each on the state that the previous one left.

    Starts from the loaded rows. Afterwards `watermarks`, `states`, `accounts`, `adjustments`, `connections`,
    `platform_accounts` and `usages` hold the new values, and `journal`, `ledger` and `dead_letters` are the rows to
    add. `read_connections` are the connections on which decisions rested.
    """

    def __init__(self, loaded: LoadedRows, policy: Judge) -> None:
        self.loaded = loaded
        self.watermarks = dict(loaded.watermarks)
        self.states = dict(loaded.states)
        self.accounts = dict(loaded.accounts)
        self.adjustments = dict(loaded.adjustments)
        self.connections = dict(loaded.connections)
        self.platform_accounts = dict(loaded.platform_accounts)
        self.usages = dict(loaded.usages)
        self.read_connections: set[str] = set()
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
        decided = self._decide(record, command)
        return JournalRow(
            partition=record.partition,
            offset=record.offset,
            recorded_at=record.recorded_at,
            outcome=decided.outcome,
            command_id=command.command_id,
            subject_id=command.subject_id,
            kind=command.kind,
            verb=command.verb,
            reason=decided.reason,
            status_before=decided.status_before,
            version_before=decided.version_before,
            status_after=decided.status_after,
            version_after=decided.version_after,
            event=event_document(decided.event) if decided.event else None,
            facts=facts_document(decided.facts) if decided.facts else None,
            traceparent=traceparent_of(record.headers),
        )

    def _decide(self, record: Record, command: Command) -> _Decided:
        if isinstance(command, AllocationCommand):
            return self._decide_allocation(record, command)
        if isinstance(command, AdjustBalance):
            return self._decide_adjustment(record, command)
        assert isinstance(command, ConnectionCommand), "every command is of a subject that is known"  # noqa: S101
        return self._decide_connection(record, command)

    def _decide_allocation(self, record: Record, command: AllocationCommand) -> _Decided:
        before = self.states.get(command.allocation_id)
        judged = self._judge(before, command, record.recorded_at)
        decision = decide(before, command, judged.verdict, record.recorded_at)
        event, facts = None, None
        if isinstance(decision, Applied):
            event, facts = decision.event, self._evolve(record, before, decision.event, judged)
        elif isinstance(decision, Refused) and decision.leaves_tombstone:
            self.states[command.allocation_id] = Tombstone(command.allocation_id, command.kind, record.recorded_at)
        after = self.states.get(command.allocation_id)
        return _Decided(
            decision.outcome,
            _reason(decision, after),
            status_of(before),
            version_of(before),
            status_of(after),
            version_of(after),
            event,
            facts,
        )

    def _judge(self, before: State, command: AllocationCommand, recorded_at: datetime) -> Judged:
        if not isinstance(command, Reserve) or not asks_policy(before, command, recorded_at):
            return APPROVED_UNASKED
        account = self.accounts.get((command.connection_id, command.amount.currency))
        connection = self.connections.get(command.connection_id)
        return self._policy.judge(command, Known(recorded_at, account, connection, self.usages))

    def _evolve(self, record: Record, before: State, event: AllocationEvent, judged: Judged) -> Facts:
        """Apply the event to the allocation, its account and the sums of its day; returns the facts of the decision."""
        self.states[event.allocation_id] = evolve(before if isinstance(before, Allocation) else None, event)
        account = self._move(record, event)
        if not isinstance(event, Opened):
            return Facts(account=account)
        verdict, policy = judged.verdict, None
        if verdict.result is not None:
            policy = PolicyFact(
                verdict=verdict.result,
                reason=verdict.reason,
                settings_version=self._policy.version,
                plug=judged.plug,
            )
        if verdict.connection_version is not None:
            self.read_connections.add(event.connection_id)
        quantity = int(event.amount.quantity) if event.status is Status.RESERVED else 0
        self.usages |= {before.key: count(before, quantity) for before in judged.usages}
        return Facts(
            policy=policy,
            account=account,
            connection_version=verdict.connection_version,
            usage=tuple(map(usage_fact, judged.usages)) or None,
        )

    def _move(self, record: Record, event: AllocationEvent) -> AccountFact | None:
        if (event.kind, event.status) not in READS_ACCOUNT:
            return None
        key = event.connection_id, event.amount.currency
        return self._decide_on(record, key, movement_of(event.kind, event.status, int(event.amount.quantity)))

    def _decide_on(self, record: Record, key: AccountKey, movement: Movement | None) -> AccountFact:
        """A decision that read an account and, with a movement, changes it; returns what it found."""
        before = self.accounts.get(key) or Account(*key)
        after = self.accounts[key] = apply_decision(before, movement)
        if movement is not None:
            self.ledger.append(LedgerRow(record.partition, record.offset, key, after.sequence, movement))
        return AccountFact(
            connection_id=after.connection_id,
            currency=after.currency,
            sequence=after.sequence,
            available_before=str(before.available),
            held_before=str(before.held),
        )

    def _decide_adjustment(self, record: Record, command: AdjustBalance) -> _Decided:
        before = self.adjustments.get(command.adjustment_id)
        keys = [(command.connection_id, entry.currency) for entry in command.entries]
        accounts = [self.accounts.get(key) or Account(*key) for key in keys]
        decision = decide_adjustment(before, command, accounts, record.recorded_at)
        booked = isinstance(decision.event, BalanceAdjusted)
        facts = None
        if decision.event is not None:
            movements = [adjustment_of(int(entry.quantity)) if booked else None for entry in command.entries]
            found = tuple(self._decide_on(record, *each) for each in zip(keys, movements, strict=True))
            facts = Facts(accounts=found)
        if isinstance(decision.event, BalanceAdjusted):
            self.adjustments[command.adjustment_id] = evolve_adjustment(decision.event)
        had, has = _adjustment_now(before), _adjustment_now(self.adjustments.get(command.adjustment_id))
        return _Decided(decision.outcome, decision.reason, *had, *has, decision.event, facts)

    def _decide_connection(self, record: Record, command: ConnectionCommand) -> _Decided:
        before = self.connections.get(command.connection_id)
        found, holdings = self._find(before, command)
        decision = decide_connection(before, command, found, record.recorded_at)
        facts = None
        if decision.event is not None and found is not None:
            facts = self._evolve_connection(record, before, decision.event, found, holdings)
        after = self.connections.get(command.connection_id)
        return _Decided(
            decision.outcome, decision.reason, *_connection_now(before), *_connection_now(after), decision.event, facts
        )

    def _find(self, state: Connection | None, command: ConnectionCommand) -> tuple[Found | None, list[Account]]:
        """The platform account, and the balances on which an activation rests: those of all its connections."""
        of = platform_account_of(state, command)
        if of is None:
            return None, []
        account = self.platform_accounts.get(of) or PlatformAccount(of)
        if state is not None or not isinstance(command, ActivateConnection):
            return self._policy.found(Found(account, token_used=False, holds_assets=False), [])
        known = [each for each in self.connections.values() if each.partners_connection_id == of]
        ids = {command.connection_id, *(each.connection_id for each in known)}
        holdings = [each for _, each in sorted(self.accounts.items()) if each.connection_id in ids]
        used = any(each.token_hash == command.token_hash for each in self.connections.values())
        return self._policy.found(Found(account, used, holds_assets(holdings)), holdings)

    def _evolve_connection(
        self,
        record: Record,
        before: Connection | None,
        event: ConnectionEvent | ConnectionRefused,
        found: Found,
        holdings: list[Account],
    ) -> Facts:
        if isinstance(event, ConnectionEvent):
            self.connections[event.connection_id] = evolve_connection(before, event)
        after = evolve_platform_account(found.account, event)
        self.platform_accounts[after.partners_connection_id] = after
        return Facts(
            accounts=tuple(self._decide_on(record, each.key, None) for each in holdings) or None,
            platform_account=PlatformAccountFact(
                partners_connection_id=after.partners_connection_id,
                sequence=after.sequence,
                connected_before=found.account.connected_by,
                token_used_before=found.token_used,
            ),
        )


def _reason(decision: Decision, after: State) -> str | None:
    """The refusal, or the rejection that the id now has."""
    if isinstance(decision, Refused):
        return decision.reason
    return after.rejection_reason if isinstance(after, Allocation) else None


def _connection_now(state: Connection | None) -> tuple[str | None, int | None]:
    return (state.status, state.version) if state else (None, None)


def _adjustment_now(state: Adjustment | None) -> tuple[str | None, int | None]:
    return (BOOKED, 1) if state else (None, None)
