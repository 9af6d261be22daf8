"""Balances: exact sums and double entry."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.domain.account import MOVEMENTS, Account, Book, Movement, apply_decision, movement_of
from schemas.quantity import QUANTITY_MAX
from schemas.words import Kind, Status

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
