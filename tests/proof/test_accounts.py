"""Decisions on accounts, put in order on disk, each on what the one before it left."""

from contextlib import closing
from dataclasses import replace

from processor.domain.account import Account, Book, Movement
from proof.verify.accounts import folded
from proof.verify.differences import Difference
from proof.verify.fold import AccountDecision, Fold

ONE, OTHER = ("11111111-1111-4111-8111-111111111111", "BTC"), ("22222222-2222-4222-8222-222222222222", "é")
HUGE = 10**119
DECISIONS = [
    AccountDecision(ONE, 1, 0, 0, Movement(Book.CUSTODY, Book.AVAILABLE, 10), "log/0/1", "allocation a"),
    AccountDecision(ONE, 2, 10, 0, Movement(Book.AVAILABLE, Book.HELD, 4), "log/1/7", "allocation b"),
    AccountDecision(ONE, 3, 6, 4, None, "log/0/2", "allocation c"),
    AccountDecision(OTHER, 1, 0, 0, Movement(Book.CUSTODY, Book.AVAILABLE, HUGE), "log/1/8", "allocation d"),
]


def folded_from(decisions: list[AccountDecision]) -> tuple[dict[tuple[str, str], Account], list[str]]:
    said: list[Difference] = []
    with closing(Fold()) as fold:
        fold.add_decisions(decisions)
        return dict(folded(fold, said.append)), [str(each) for each in said]


def test_decisions_come_in_any_order_and_lead_to_the_balances() -> None:
    accounts, said = folded_from(DECISIONS[::-1])
    assert [] == said
    assert {ONE: Account(*ONE, 3, 6, 4), OTHER: Account(*OTHER, 1, HUGE, 0)} == accounts


def test_a_decision_that_found_another_balance_is_named() -> None:
    _, said = folded_from([*DECISIONS[:1], replace(DECISIONS[1], available_before=11), *DECISIONS[2:]])
    assert [
        f"account {'/'.join(ONE)} (allocation b): as log/1/7 found it: available is 11, and 10 follows from the log",
        f"account {'/'.join(ONE)} (allocation c): as log/0/2 found it: available is 6, and 7 follows from the log",
    ] == said


def test_a_decision_that_is_missing_or_doubled_is_named() -> None:
    _, said = folded_from([DECISIONS[0], DECISIONS[2]])
    assert "sequence is 2, and 1 follows from the log" in said[0]
    _, said = folded_from([DECISIONS[0], DECISIONS[0], *DECISIONS[1:]])
    assert "sequence is 0, and 1 follows from the log" in said[0]
