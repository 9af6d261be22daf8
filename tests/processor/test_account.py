"""Balances and policy: exact sums, double entry, and why a reserve is turned down."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.domain.account import MOVEMENTS, Account, Book, Movement, apply_decision, movement_of
from processor.domain.machine import Verdict
from processor.domain.policy import PolicySettings, judge
from schemas.commands import Amount, Reserve
from schemas.quantity import QUANTITY_MAX
from schemas.words import Kind, Rejection, Status
from tests.support.machine import reserve

CONNECTION = "22222222-2222-4222-8222-222222222222"


def account(available: int = 0, held: int = 0) -> Account:
    return Account(CONNECTION, "BTC", 0, available, held)


@pytest.mark.parametrize(
    ("kind", "status", "expected"),
    [
        (Kind.ALLOCATION, Status.RESERVED, None),
        (Kind.ALLOCATION, Status.REJECTED, None),
        (Kind.ALLOCATION, Status.CLEARED, (15, 5)),
        (Kind.ALLOCATION, Status.RELEASED, None),
        (Kind.DEALLOCATION, Status.RESERVED, (5, 10)),
        (Kind.DEALLOCATION, Status.REJECTED, None),
        (Kind.DEALLOCATION, Status.CLEARED, (10, 0)),
        (Kind.DEALLOCATION, Status.RELEASED, (15, 0)),
    ],
)
def test_what_each_transition_moves(kind: Kind, status: Status, expected: tuple[int, int] | None) -> None:
    before = account(10, 5)
    movement = movement_of(kind, status, 5)
    after = apply_decision(before, movement)
    assert (expected or (10, 5)) == (after.available, after.held)
    assert (movement is None) == (expected is None)
    assert before.sequence + 1 == after.sequence


@pytest.mark.parametrize("movement", [Movement(Book.AVAILABLE, Book.HELD, 11), Movement(Book.HELD, Book.CUSTODY, 6)])
def test_no_balance_is_ever_negative(movement: Movement) -> None:
    with pytest.raises(ArithmeticError):
        apply_decision(account(10, 5), movement)


@given(st.lists(st.tuples(st.sampled_from(sorted(MOVEMENTS)), st.integers(1, QUANTITY_MAX)), max_size=30))
def test_the_books_always_sum_to_zero(movements: list[tuple[tuple[Kind, Status], int]]) -> None:
    now, custody = account(), 0
    for (kind, status), quantity in movements:
        movement = movement_of(kind, status, quantity)
        assert movement is not None
        try:
            now = apply_decision(now, movement)
        except ArithmeticError:
            continue
        custody += quantity * ((movement.credit is Book.CUSTODY) - (movement.debit is Book.CUSTODY))
        assert custody + now.available + now.held == 0
        assert min(now.available, now.held) >= 0


def asks(kind: Kind, quantity: int, currency: str = "BTC") -> Reserve:
    return reserve(kind, amount=Amount(currency=currency, quantity=str(quantity)))


RULES = PolicySettings(frozenset({"BTC", "ETH"}), {"BTC": 100})
CASES = [
    # kind, quantity, currency, available, settings → reason, evaluated
    (Kind.ALLOCATION, 5, "BTC", None, PolicySettings(), None, False),
    (Kind.ALLOCATION, 5, "BTC", None, RULES, None, True),
    (Kind.ALLOCATION, 100, "BTC", None, RULES, None, True),
    (Kind.ALLOCATION, 101, "BTC", None, RULES, Rejection.LIMIT_EXCEEDED, True),
    (Kind.ALLOCATION, 101, "ETH", None, RULES, None, True),
    (Kind.ALLOCATION, 1, "btc", None, RULES, Rejection.UNSUPPORTED_CURRENCY, True),
    (Kind.ALLOCATION, 1, "ETH", None, PolicySettings(limits={"BTC": 100}), None, False),
    (Kind.DEALLOCATION, 5, "BTC", 5, PolicySettings(), None, True),
    (Kind.DEALLOCATION, 6, "BTC", 5, PolicySettings(), Rejection.INSUFFICIENT_BALANCE, True),
    (Kind.DEALLOCATION, 1, "BTC", None, PolicySettings(), Rejection.INSUFFICIENT_BALANCE, True),
    (Kind.DEALLOCATION, 101, "BTC", 5, RULES, Rejection.LIMIT_EXCEEDED, True),
    (Kind.DEALLOCATION, 101, "DOGE", 5, RULES, Rejection.UNSUPPORTED_CURRENCY, True),
]


@pytest.mark.parametrize(("kind", "quantity", "currency", "available", "settings", "reason", "evaluated"), CASES)
def test_policy(
    kind: Kind,
    quantity: int,
    currency: str,
    available: int | None,
    settings: PolicySettings,
    reason: Rejection | None,
    evaluated: bool,  # noqa: FBT001
) -> None:
    found = judge(asks(kind, quantity, currency), None if available is None else account(available), None, settings)
    assert Verdict(reason, evaluated=evaluated) == found


def test_the_settings_version_names_the_settings() -> None:
    same = PolicySettings(frozenset({"ETH", "BTC"}), {"BTC": 100})
    assert RULES.version == same.version
    assert len({RULES.version, PolicySettings().version, PolicySettings(frozenset()).version}) == 3
