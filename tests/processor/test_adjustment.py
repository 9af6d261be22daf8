"""Adjustments: all entries or none, once for each id, never below zero (contract, section 9)."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from processor.domain.account import Account, Book, Movement, adjustment_of, apply_decision
from processor.domain.adjustment import decide_adjustment, evolve_adjustment
from schemas.commands import AdjustBalance, Entry
from schemas.events import AdjustmentRefused, BalanceAdjusted
from schemas.words import Outcome, Refusal
from tests.support.commands import NOON
from tests.support.platform import adjust

ID = "44444444-4444-4444-8444-444444444444"
CONNECTION = "22222222-2222-4222-8222-222222222222"
BALANCES = {"BTC": 5, "ETH": 0, "USD": 7}


def accounts(command: AdjustBalance, balances: Mapping[str, int] = BALANCES) -> list[Account]:
    return [Account(CONNECTION, each.currency, 3, balances[each.currency], 100) for each in command.entries]


def booked(changes: Mapping[str, int]) -> Any:
    command = adjust(CONNECTION, changes, ID)
    event = decide_adjustment(None, command, accounts(command), NOON).event
    assert isinstance(event, BalanceAdjusted)
    return evolve_adjustment(event)


@pytest.mark.parametrize("changes", [{"BTC": -5}, {"BTC": 1}, {"BTC": -5, "ETH": 2, "USD": -7}])
def test_given_balances_suffice_then_it_is_booked(changes: dict[str, int]) -> None:
    command = adjust(CONNECTION, changes, ID)
    decision = decide_adjustment(None, command, accounts(command), NOON)
    assert (Outcome.APPLIED, None) == decision[:2]
    assert isinstance(decision.event, BalanceAdjusted)
    assert (1, CONNECTION, "trade", command.entries) == (
        *(decision.event.version, decision.event.connection_id, decision.event.reason, decision.event.entries),
    )


@pytest.mark.parametrize("changes", [{"BTC": -6}, {"ETH": -1}, {"BTC": 9, "ETH": -1, "USD": 9}])
def test_given_one_balance_falls_below_zero_then_nothing_is_booked_and_the_refusal_has_an_event(
    changes: dict[str, int],
) -> None:
    """What is held does not count."""
    command = adjust(CONNECTION, changes, ID)
    decision = decide_adjustment(None, command, accounts(command), NOON)
    assert (Outcome.REFUSED, Refusal.INSUFFICIENT_BALANCE) == decision[:2]
    assert isinstance(decision.event, AdjustmentRefused)
    assert 0 == decision.event.version


@pytest.mark.parametrize(
    ("command", "outcome", "reason"),
    [
        (adjust(CONNECTION, {"BTC": 1}, ID), Outcome.REPEATED, None),
        (adjust(CONNECTION, {"BTC": 2}, ID), Outcome.REFUSED, Refusal.DIFFERENT_CONTENT),
        (adjust(CONNECTION, {"BTC": 1}, ID, "fee"), Outcome.REFUSED, Refusal.DIFFERENT_CONTENT),
        (adjust(ID, {"BTC": 1}, ID), Outcome.REFUSED, Refusal.DIFFERENT_CONTENT),
        (adjust(CONNECTION, {"BTC": 1, "ETH": 1}, ID), Outcome.REFUSED, Refusal.DIFFERENT_CONTENT),
        (adjust(CONNECTION, {"BTC": 1}, ID, at=NOON - timedelta(minutes=1)), Outcome.REFUSED, Refusal.EXPIRED),
    ],
)
def test_given_the_id_is_known_then_balances_are_not_looked_at(
    command: AdjustBalance, outcome: Outcome, reason: Refusal | None
) -> None:
    decision = decide_adjustment(booked({"BTC": 1}), command, accounts(command), NOON)
    assert (outcome, reason, None) == decision


@given(
    st.dictionaries(st.sampled_from("ABCDE"), st.integers(-(10**78) + 1, 10**78 - 1).filter(bool), min_size=1),
    st.dictionaries(st.sampled_from("ABCDE"), st.integers(0, 10**80)),
)
def test_what_is_booked_is_what_was_asked_and_never_below_zero(changes: dict[str, int], had: dict[str, int]) -> None:
    command = adjust(CONNECTION, changes, ID)
    before = accounts(command, {each: had.get(each, 0) for each in changes})
    decision = decide_adjustment(None, command, before, NOON)
    expected = {each.currency: each.available + changes[each.currency] for each in before}
    assert (decision.outcome is Outcome.APPLIED) == (min(expected.values()) >= 0)
    if decision.outcome is Outcome.APPLIED:
        after = [apply_decision(each, adjustment_of(changes[each.currency])) for each in before]
        assert expected == {each.currency: each.available for each in after}
        assert all((each.sequence, each.held) == (4, 100) for each in after)


def test_what_the_client_won_comes_from_trading_and_what_he_lost_goes_there() -> None:
    assert Movement(Book.TRADING, Book.AVAILABLE, 3) == adjustment_of(3)
    assert Movement(Book.AVAILABLE, Book.TRADING, 3) == adjustment_of(-3)


@pytest.mark.parametrize("currencies", [["BTC", "BTC"], ["ETH", "BTC"], []])
def test_entries_are_sorted_and_name_each_currency_once(currencies: list[str]) -> None:
    entries = [Entry(currency=each, quantity="1") for each in currencies]
    with pytest.raises(ValidationError):
        AdjustBalance.model_validate(adjust(CONNECTION, {"BTC": 1}).model_dump() | {"entries": entries})


@pytest.mark.parametrize("quantity", ["0", "-0", "+1", "1.0", "01", "-01", "1e3", "", "1" * 79])
def test_a_change_is_a_signed_number_of_base_units(quantity: str) -> None:
    with pytest.raises(ValidationError):
        Entry(currency="BTC", quantity=quantity)
