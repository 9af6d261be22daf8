"""All commands together, in any order, against a small model; and each decided again with its recorded facts."""

import uuid
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from processor.domain.batch import Batch, Read, Record
from processor.domain.journal import FIRST_HASH, JournalRow
from processor.domain.policy import Connections, PolicySettings
from processor.domain.rows import LoadedRows, Watermark
from proof.log.replay import Recorded, replay
from schemas.commands import FINISHES, RESERVES, Amount, Command, Edition
from schemas.events import Facts
from schemas.words import AfterFinal, Kind, Outcome, Verb
from tests.support.commands import NOON, stamps
from tests.support.platform import CLIENT, activate, adjust, deactivate, issued, reactivate

CONNECTIONS = [str(uuid.UUID(int=each)) for each in range(3)]
ALLOCATIONS = [str(uuid.UUID(int=each)) for each in range(10, 16)]
ADJUSTMENTS = [str(uuid.UUID(int=each)) for each in range(20, 25)]
ACCOUNTS = ["account-0", "account-1"]
TOKENS = ["t0", "t1", "t2"]
CURRENCIES = ["BTC", "ETH"]
LIMIT = 6


class AllCommands(RuleBasedStateMachine):
    """The model: balances by account, and who is connected, moved only by what was applied."""

    def __init__(self) -> None:
        super().__init__()
        self.policy = PolicySettings(limits={"BTC": LIMIT}, connections=Connections.REGISTERED)
        self.loaded = LoadedRows({0: Watermark(0, FIRST_HASH)}, {}, {})
        self.now = NOON
        self.available: dict[tuple[str, str], int] = {}
        self.held: dict[tuple[str, str], int] = {}
        self.amounts: dict[str, tuple[str, str, int]] = {}
        self.active: dict[str, str] = {}
        self.tokens: set[str] = set()

    @rule(
        allocation=st.sampled_from(ALLOCATIONS),
        kind=st.sampled_from(Kind),
        connection=st.sampled_from(CONNECTIONS),
        account=st.sampled_from(ACCOUNTS),
        currency=st.sampled_from(CURRENCIES),
        quantity=st.integers(1, LIMIT + 1),
        after=st.sampled_from(AfterFinal),
    )
    def reserve(
        self,
        allocation: str,
        kind: Kind,
        connection: str,
        account: str,
        currency: str,
        quantity: int,
        after: AfterFinal,
    ) -> None:
        row = self.apply(
            RESERVES[kind](
                **stamps(allocation, self.now),
                amount=Amount(currency=currency, quantity=str(quantity)),
                client_id=CLIENT,
                connection_id=connection,
                partners_connection_id=account,
                edition=Edition(),
                after_final=after,
            )
        )
        if row.outcome is not Outcome.APPLIED:
            return
        key = connection, currency
        self.amounts[allocation] = connection, currency, quantity
        fits = currency != "BTC" or quantity <= LIMIT
        funded = kind is Kind.ALLOCATION or self.available.get(key, 0) >= quantity
        connected = self.active.get(account) == connection
        assert (row.status_after == "reserved") == (fits and funded and connected)
        if kind is Kind.DEALLOCATION and row.status_after == "reserved":
            self.move(key, -quantity, quantity)

    @rule(
        allocation=st.sampled_from(ALLOCATIONS),
        kind=st.sampled_from(Kind),
        verb=st.sampled_from([Verb.CLEAR, Verb.RELEASE]),
    )
    def finish(self, allocation: str, kind: Kind, verb: Verb) -> None:
        row = self.apply(FINISHES[kind, verb](**stamps(allocation, self.now)))
        if row.outcome is not Outcome.APPLIED:
            return
        connection, currency, quantity = self.amounts[allocation]
        if kind is Kind.ALLOCATION:
            self.move((connection, currency), quantity if verb is Verb.CLEAR else 0, 0)
        else:
            self.move((connection, currency), 0 if verb is Verb.CLEAR else quantity, -quantity)

    @rule(
        adjustment=st.sampled_from(ADJUSTMENTS),
        connection=st.sampled_from(CONNECTIONS),
        changes=st.dictionaries(st.sampled_from(CURRENCIES), st.integers(-5, 5).filter(bool), min_size=1),
    )
    def adjust(self, adjustment: str, connection: str, changes: dict[str, int]) -> None:
        row = self.apply(adjust(connection, changes, adjustment, at=self.now))
        short = any(self.available.get((connection, each), 0) + change < 0 for each, change in changes.items())
        if row.outcome is Outcome.APPLIED:
            assert not short
            for each, change in changes.items():
                self.move((connection, each), change, 0)
        elif row.reason == "insufficient_balance":
            assert short

    @rule(
        connection=st.sampled_from(CONNECTIONS),
        token=st.sampled_from(TOKENS),
        account=st.sampled_from([*ACCOUNTS, None]),
    )
    def activate(self, connection: str, token: str, account: str | None) -> None:
        of = issued(account, self.now + timedelta(hours=1)) if account else None
        row = self.apply(activate(connection, token, of, at=self.now))
        if row.outcome is Outcome.APPLIED:
            assert account is not None
            assert account not in self.active
            assert token not in self.tokens
            known = {key for key, each in self.loaded.connections.items() if each.partners_connection_id == account}
            assert not any(
                self.available.get((each, currency)) or self.held.get((each, currency))
                for each in known
                for currency in CURRENCIES
            )
            self.active[account] = connection
            self.tokens.add(token)

    @rule(connection=st.sampled_from(CONNECTIONS))
    def deactivate(self, connection: str) -> None:
        if self.apply(deactivate(connection, self.now)).outcome is Outcome.APPLIED:
            [account] = [each for each, by in self.active.items() if by == connection]
            del self.active[account]

    @rule(connection=st.sampled_from(CONNECTIONS))
    def reactivate(self, connection: str) -> None:
        if self.apply(reactivate(connection, self.now)).outcome is Outcome.APPLIED:
            account = self.loaded.connections[connection].partners_connection_id
            assert account not in self.active
            self.active[account] = connection

    def move(self, key: tuple[str, str], available: int, held: int) -> None:
        self.available[key] = self.available.get(key, 0) + available
        self.held[key] = self.held.get(key, 0) + held

    def apply(self, command: Command) -> JournalRow:
        """Decide in a batch of its own; then again as a replay does, from nothing but its history and its facts."""
        self.now += timedelta(seconds=1)
        mark = self.loaded.watermarks[0]
        each = Read(Record(0, mark.next_offset, self.now, b"", b"", []), command)
        batch = Batch(self.loaded, self.policy)
        batch.add(each)
        [(row, digest)] = batch.journal
        self.check_again(each, row, digest)
        self.loaded = LoadedRows(
            dict(batch.watermarks),
            dict(batch.states),
            dict(batch.accounts),
            dict(batch.adjustments),
            dict(batch.connections),
            dict(batch.platform_accounts),
        )
        return row

    def check_again(self, each: Read, row: JournalRow, digest: bytes) -> None:
        recorded = Recorded()
        own = LoadedRows(
            self.loaded.watermarks,
            self.loaded.states,
            {},
            self.loaded.adjustments,
            {key: found for key, found in self.loaded.connections.items() if key == row.subject_id},
        )
        again = Batch(own, recorded)
        replay(again, recorded, each, Facts.model_validate(row.facts) if row.facts else None)
        assert [(row, digest)] == again.journal

    @invariant()
    def balances_are_the_model_s(self) -> None:
        for key, account in self.loaded.accounts.items():
            assert (self.available.get(key, 0), self.held.get(key, 0)) == (account.available, account.held)
            assert min(account.available, account.held) >= 0

    @invariant()
    def one_connection_is_active_on_an_account(self) -> None:
        connected = {key: each.connected_by for key, each in self.loaded.platform_accounts.items() if each.connected_by}
        assert self.active == connected


AllCommands.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestAllCommands = AllCommands.TestCase
