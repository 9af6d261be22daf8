"""Decisions that no event tells of are put back between those that events tell of."""

import random
import uuid
from datetime import UTC, datetime, timedelta

from processor.domain.account import Account, AccountKey
from processor.domain.batch import Batch, Read, Record
from processor.domain.connection import Connection, PlatformAccount
from processor.domain.journal import FIRST_HASH
from processor.domain.policy import PolicySettings
from processor.domain.rows import LoadedRows, Watermark
from processor.domain.usage import Usage, UsageKey, usage_key
from proof.rebuild.missing_decisions import Gap, Gaps
from schemas.commands import Command
from schemas.words import ConnectionStatus, Kind, Scope
from tests.support.batches import reserve
from tests.support.history import History
from tests.support.platform import CLIENT, activate, adjust, deactivate, issued

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
"""Before any deadline of a history."""
LATER = NOON + timedelta(hours=1)


def decided(commands: list[Command]) -> tuple[Batch, dict[int, Account], dict[int, Account]]:
    """All of them decided in order, and by their offsets the accounts before and after."""
    batch = Batch(LoadedRows({0: Watermark(0, FIRST_HASH)}, {}, {}), PolicySettings())
    before, after = {}, {}
    for offset, command in enumerate(commands):
        accounts = dict(batch.accounts)
        batch.add(Read(Record(0, offset, NOON, None, None, []), command))
        for key, account in batch.accounts.items():
            if account is not accounts.get(key):
                before[offset], after[offset] = accounts.get(key) or Account(*key), account
    return batch, before, after


def test_what_fits_is_put_back_and_the_latest_stays() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    commands = list(History(random.Random(seed), accounts=1).commands(400))
    whole, before, after = decided(commands)
    offset = max(before, key=lambda each: before[each].sequence if each < 300 else 0)
    key: AccountKey = before[offset].key
    latest = whole.accounts[key]
    states = decided(commands[:offset])[0].states
    batch = Batch(LoadedRows({0: Watermark(offset, FIRST_HASH)}, states, {key: latest}), PolicySettings())
    gaps = Gaps({key: [Gap(before[offset], after[offset])]}, PolicySettings())
    gaps.add(batch, Read(Record(0, offset, NOON, None, None, []), commands[offset]))
    assert [] == list(gaps.unfilled())
    row, expected = batch.journal[-1][0], whole.journal[offset][0]
    assert (expected.event, expected.facts) == (row.event, row.facts)
    assert latest is batch.accounts[key]


def test_what_does_not_fit_is_decided_on_the_latest_and_the_gap_is_named() -> None:
    commands = list(History(random.Random(1), accounts=1).commands(200))
    _, before, after = decided(commands)
    offset = next(each for each in before if after[each].available > before[each].available)
    found, then = before[offset], after[offset]
    states = decided(commands[:offset])[0].states
    batch = Batch(LoadedRows({0: Watermark(offset, FIRST_HASH)}, states, {found.key: then}), PolicySettings())
    other = Account(*then.key, then.sequence, then.available + 1, then.held)
    gaps = Gaps({found.key: [Gap(found, other)]}, PolicySettings())
    gaps.add(batch, Read(Record(0, offset, NOON, None, None, []), commands[offset]))
    assert then.sequence + 1 == batch.accounts[found.key].sequence
    [said] = gaps.unfilled()
    assert f"decisions {then.sequence} to {then.sequence} are in no event" in said
    assert f"{other.available} available and {other.held} held that the next one found" in said


def test_of_two_partitions_that_were_behind_each_gets_its_gap_back() -> None:
    """By time the later one comes first: it does not fit, and the other one does."""
    seed = random.randrange(2**32)
    print("seed", seed)
    commands = list(History(random.Random(seed), accounts=1).commands(400))
    _, before, after = decided(commands)
    pairs = [
        (one, two)
        for one in before
        for two in before
        if one < two
        and after[one] == before[two]
        and delta(before[one], after[one]) != delta(before[two], after[two])
        and commands[one].allocation_id != commands[two].allocation_id
    ]
    first, second = pairs[len(pairs) // 2]
    states = decided(commands[:second])[0].states
    states[commands[first].allocation_id] = decided(commands[:first])[0].states.get(commands[first].allocation_id)
    batch = Batch(LoadedRows({0: Watermark(0, FIRST_HASH)}, states, {}), PolicySettings())
    key = before[first].key
    latest = batch.accounts[key] = Account(*key, 10_000, 10_000, 10_000)
    gaps = Gaps({key: [Gap(before[first], after[first])]}, PolicySettings())
    for offset in (second, first):
        gaps.add(batch, Read(Record(0, offset, NOON, None, None, []), commands[offset]))
    assert [] == list(gaps.unfilled())
    assert latest.sequence + 1 == batch.accounts[key].sequence


def test_a_partition_of_which_later_decisions_are_known_misses_none_here() -> None:
    """Its command would fit in the middle of the gap, where those of the other one were."""
    commands = list(History(random.Random(2), accounts=1).commands(200))
    _, before, after = decided(commands)
    offset = next(each for each in before if after[each].available > before[each].available)
    found = before[offset]
    states = decided(commands[:offset])[0].states
    batch = Batch(LoadedRows({0: Watermark(offset, FIRST_HASH)}, states, {}), PolicySettings())
    latest = batch.accounts[found.key] = Account(*found.key, 10_000, 10_000, 10_000)
    gap = Gap(found, Account(*found.key, found.sequence + 2, 10_000, 10_000), frozenset({0}))
    Gaps({found.key: [gap]}, PolicySettings()).add(
        batch, Read(Record(0, offset, NOON, None, None, []), commands[offset])
    )
    assert (found, latest.sequence + 1) == (gap.account, batch.accounts[found.key].sequence)


def test_a_reserve_is_put_back_on_the_sum_of_its_day() -> None:
    """Of 60 and 30 the first is in no event: it counts once, and what came later finds both."""
    rules = PolicySettings(client_daily_limits={"BTC": 100})
    client = str(uuid.uuid4())
    missing, later, last = (reserve(quantity, client=client) for quantity in (60, 20, 10))
    key = usage_key(Scope.CLIENT, missing, NOON)
    batch = Batch(LoadedRows({0: Watermark(0, FIRST_HASH)}, {}, {}, usages={key: Usage(key, 2, 90)}), rules)
    gaps = Gaps({key: [Gap(Usage(key), Usage(key, 1, 60))]}, rules)
    for offset, command in enumerate((missing, later, last)):
        gaps.add(batch, Read(Record(0, offset, NOON, None, None, []), command))
    assert ["reserved", "rejected", "reserved"] == [row.status_after for row, _ in batch.journal]
    assert Usage(key, 4, 100) == batch.usages[key]
    assert [] == list(gaps.unfilled())


def test_a_gap_of_a_sum_that_nothing_fits_in_is_named() -> None:
    key = UsageKey(Scope.CLIENT, str(uuid.uuid4()), Kind.ALLOCATION, "BTC", NOON.date())
    [words] = Gaps({key: [Gap(Usage(key), Usage(key, 1, 60))]}, PolicySettings()).unfilled()
    assert f"daily_usage client/{key.id}/allocation/BTC/2026-11-21: decisions 1 to 1 are in no event" in words
    assert "from 0 reserved to the 60 reserved" in words


def delta(before: Account, after: Account) -> tuple[int, int]:
    return after.available - before.available, after.held - before.held


def gapless(account: Account, moves: int) -> Account:
    """As it is some decisions later."""
    return account._replace(sequence=account.sequence + moves, available=account.available + 1000)


def test_an_adjustment_is_put_back_where_it_fits_in_all_of_its_accounts() -> None:
    btc, eth = Account(CLIENT, "BTC", 4, 10, 0), Account(CLIENT, "ETH", 7, 2, 0)
    latest = {each.key: gapless(each, 5) for each in (btc, eth)}
    then = {btc.key: btc._replace(sequence=5, available=7), eth.key: eth._replace(sequence=8, available=8)}
    asked = adjust(CLIENT, {"BTC": -3, "ETH": 6})
    batch = Batch(LoadedRows({0: Watermark(0, FIRST_HASH)}, {}, latest), PolicySettings())
    gaps = Gaps({each.key: [Gap(each, then[each.key])] for each in (btc, eth)}, PolicySettings())
    gaps.add(batch, Read(Record(0, 0, NOON, None, None, []), asked))
    assert [] == list(gaps.unfilled())
    assert latest == batch.accounts
    assert [(btc.key, 5), (eth.key, 8)] == [(row.account, row.sequence) for row in batch.ledger]


def test_an_adjustment_that_fits_in_one_of_its_accounts_is_the_latest_of_the_other() -> None:
    btc, eth = Account(CLIENT, "BTC", 4, 10, 0), Account(CLIENT, "ETH", 7, 2, 0)
    latest = {each.key: gapless(each, 5) for each in (btc, eth)}
    gap, other = Gap(btc, btc._replace(sequence=5, available=7)), Gap(eth, eth._replace(sequence=8, available=1))
    batch = Batch(LoadedRows({0: Watermark(0, FIRST_HASH)}, {}, latest), PolicySettings())
    gaps = Gaps({btc.key: [gap], eth.key: [other]}, PolicySettings())
    gaps.add(batch, Read(Record(0, 0, NOON, None, None, []), adjust(CLIENT, {"BTC": -3, "ETH": 6})))
    assert 1 == len(list(gaps.unfilled()))
    assert latest[btc.key] == batch.accounts[btc.key]
    assert 13 == batch.accounts[eth.key].sequence


def test_a_connection_is_put_back_between_what_is_known_of_its_account() -> None:
    """It was connected and free again, and another connection was activated after that."""
    first, second = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))
    now = PlatformAccount("account-7", 5, second)
    gap = Gap(PlatformAccount("account-7", 2), PlatformAccount("account-7", 4), frozenset({9}))
    batch = Batch(
        LoadedRows({0: Watermark(0, FIRST_HASH)}, {}, {}, platform_accounts={"account-7": now}), PolicySettings()
    )
    gaps = Gaps({"account-7": [gap]}, PolicySettings())
    asked = [activate(first, of=issued(expires_at=LATER), at=LATER), deactivate(first, at=LATER)]
    for offset, command in enumerate(asked):
        gaps.add(batch, Read(Record(0, offset, NOON, None, None, []), command))
    assert [] == list(gaps.unfilled())
    assert [("applied", "active"), ("applied", "inactive")] == [
        (row.outcome.value, row.status_after) for row, _ in batch.journal
    ]
    assert {"account-7": now} == batch.platform_accounts


def test_a_connection_that_does_not_fit_is_refused_for_the_latest_and_the_gap_is_named() -> None:
    now = PlatformAccount("account-7", 5, str(uuid.UUID(int=2)))
    gap = Gap(PlatformAccount("account-7", 2), PlatformAccount("account-7", 3, str(uuid.UUID(int=3))))
    batch = Batch(
        LoadedRows({0: Watermark(0, FIRST_HASH)}, {}, {}, platform_accounts={"account-7": now}), PolicySettings()
    )
    gaps = Gaps({"account-7": [gap]}, PolicySettings())
    asked = activate(str(uuid.UUID(int=1)), of=issued(expires_at=LATER), at=LATER)
    gaps.add(batch, Read(Record(0, 0, NOON, None, None, []), asked))
    assert "account_connected" == batch.journal[0][0].reason
    [said] = gaps.unfilled()
    assert "platform_account account-7: decisions 3 to 3 are in no event" in said
    assert f"leads from no connection to the connection {uuid.UUID(int=3)} that" in said


def test_an_activation_is_put_back_before_the_connections_that_came_later() -> None:
    """The later one spent the same token, and holds assets now: neither was so when the missing one was decided."""
    first, later = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))
    asked = activate(first, of=issued(expires_at=LATER), at=LATER)
    now = PlatformAccount("account-7", 5, later)
    connected = Connection(
        *(later, ConnectionStatus.ACTIVE, 1, CLIENT, None, None, "user", "account-7", asked.token_hash, NOON, NOON)
    )
    holdings = Account(later, "BTC", 3, 10, 0)
    batch = Batch(
        LoadedRows(
            {0: Watermark(0, FIRST_HASH)},
            {},
            {holdings.key: holdings},
            connections={later: connected},
            platform_accounts={"account-7": now},
        ),
        PolicySettings(),
    )
    gap = Gap(PlatformAccount("account-7", 2), PlatformAccount("account-7", 4), frozenset({9}))
    gaps = Gaps({"account-7": [gap]}, PolicySettings(), {later: 5})
    for offset, command in enumerate([asked, deactivate(first, at=LATER)]):
        gaps.add(batch, Read(Record(0, offset, NOON, None, None, []), command))
    assert [] == list(gaps.unfilled())
    assert ["active", "inactive"] == [row.status_after for row, _ in batch.journal]
    assert (now, connected, holdings) == (
        batch.platform_accounts["account-7"],
        batch.connections[later],
        batch.accounts[holdings.key],
    )
