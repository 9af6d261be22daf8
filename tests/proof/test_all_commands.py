"""Histories of all commands, decided in memory and proved in any order of the partitions: from facts alone."""

import random
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.domain.batch import Batch, Read, Record
from processor.domain.journal import FIRST_HASH, JournalRow
from processor.domain.policy import Connections, PolicySettings
from processor.domain.rows import LoadedRows, Watermark
from proof.log.subject_tables import ADJUSTMENTS, ALLOCATIONS, CONNECTIONS
from proof.verify import accounts, platform_accounts
from proof.verify.connection_reads import check_reads
from proof.verify.differences import Difference
from proof.verify.expected import LogSection
from proof.verify.fold import Fold
from schemas.events import Facts
from schemas.records import key_of
from schemas.topics import partition_of
from tests.support.commands import NOON
from tests.support.history import LIMITED, History

PARTITIONS = 3
COMMANDS = 300
TOGETHER = 40


@dataclass
class Decided:
    """What a processor made of a history, and the records by partition, each with its row."""

    batch: Batch
    records: dict[int, list[tuple[Read, JournalRow]]]


def decided(generator: random.Random, connections: Connections) -> Decided:
    policy = PolicySettings(limits={LIMITED: 100}, connections=connections)
    batch = Batch(LoadedRows({each: Watermark(0, FIRST_HASH) for each in range(PARTITIONS)}, {}, {}), policy)
    records: dict[int, list[tuple[Read, JournalRow]]] = {each: [] for each in range(PARTITIONS)}
    for number, command in enumerate(History(generator, accounts=2, platform=True).commands(COMMANDS)):
        key = key_of(command.subject_id)
        partition = partition_of(key, PARTITIONS)
        at = NOON + timedelta(milliseconds=number)
        each = Read(Record(partition, len(records[partition]), at, key, None, []), command)
        batch.add(each)
        records[partition].append((each, batch.journal[-1][0]))
    return Decided(batch, records)


def said(of: Decided, partitions: list[int]) -> list[str]:
    """Fold it, partition by partition; what a verification has to say of facts and rows."""
    found: list[Difference] = []
    batch, differences = of.batch, list[str]()
    with closing(Fold()) as fold:
        for partition in partitions:
            last = FIRST_HASH
            for first in range(0, len(of.records[partition]), TOGETHER):
                part = of.records[partition][first : first + TOGETHER]
                section = LogSection(fold, "log", partition, [each for each, _ in part])
                for each, row in part:
                    facts = Facts.model_validate(row.facts) if row.facts else None
                    try:
                        expected = section.add(each, facts, last)
                    except ArithmeticError as error:
                        differences.append(str(error))
                        continue
                    last = row.hash(last)
                    if expected.row != row:
                        differences.append(f"{expected.row} is not {row}")
                section.keep()
        check_reads(fold, found.append)
        if dict(accounts.folded(fold, found.append)) != batch.accounts:
            differences.append("accounts")
        if dict(platform_accounts.folded(fold, found.append)) != batch.platform_accounts:
            differences.append("platform accounts")
        for table, states in (
            (ALLOCATIONS, batch.states),
            (CONNECTIONS, batch.connections),
            (ADJUSTMENTS, batch.adjustments),
        ):
            if fold.states(table, states) != states or fold.count(table) != len(states):
                differences.append(table.name)
    return differences + [str(each) for each in found]


@pytest.mark.slow
@settings(max_examples=15)
@given(st.randoms(use_true_random=False), st.sampled_from(Connections), st.permutations(range(PARTITIONS)))
def test_whatever_comes_first_the_facts_lead_to_the_same(
    generator: random.Random, connections: Connections, partitions: list[int]
) -> None:
    assert [] == said(decided(generator, connections), partitions)


@pytest.mark.slow
def test_the_histories_have_what_they_are_to_prove() -> None:
    journal = [
        row for each in Connections for seed in range(4) for row, _ in decided(random.Random(seed), each).batch.journal
    ]
    events = {row.event["event"] for row in journal if row.event}
    assert {"ConnectionActivated", "ConnectionDeactivated", "ConnectionRefused"} <= events
    assert {"BalanceAdjusted", "AdjustmentRefused", "AllocationReserved", "DeallocationCleared"} <= events
    reasons = {row.reason for row in journal}
    assert {"unknown_connection", "connection_mismatch", "account_connected", "insufficient_balance"} <= reasons


def _more(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda fact: fact | {name: type(fact[name])(int(fact[name]) + 1)}


CHANGES: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "a balance of an adjustment": ("accounts", lambda facts: [_more("availableBefore")(facts[0]), *facts[1:]]),
    "its sequence": ("accounts", lambda facts: [_more("sequence")(facts[0]), *facts[1:]]),
    "one balance left out": ("accounts", lambda facts: facts[1:] or None),
    "a balance of an allocation": ("account", _more("heldBefore")),
    "the sequence of a platform account": ("platformAccount", _more("sequence")),
    "another platform account": ("platformAccount", lambda fact: fact | {"partnersConnectionId": "other"}),
    "a token that was not used": (
        "platformAccount",
        lambda fact: fact | {"tokenUsedBefore": not fact.get("tokenUsedBefore", False)},
    ),
    "who was connected": (
        "platformAccount",
        lambda fact: fact | {"connectedBefore": "99999999-0000-4000-8000-000000000000"},
    ),
    "a version": ("connectionVersion", lambda version: version + 1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_fact_that_was_changed_everywhere_is_named(change: str) -> None:
    """In the journal, with all hashes made anew, and in the event: the facts contradict each other still."""
    name, changed = CHANGES[change]
    whole = decided(random.Random(7), Connections.REGISTERED)
    rows = [(place, n) for place, found in whole.records.items() for n, (_, row) in enumerate(found) if has(row, name)]
    partition, number = rows[len(rows) // 2]
    each, row = whole.records[partition][number]
    assert row.facts is not None
    facts = {key: value for key, value in (row.facts | {name: changed(row.facts[name])}).items() if value is not None}
    whole.records[partition][number] = each, row._replace(facts=facts)
    assert said(whole, list(range(PARTITIONS)))


def has(row: JournalRow, name: str) -> bool:
    return row.facts is not None and name in row.facts
