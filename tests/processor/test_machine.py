"""The transition table, one row per cell, then what stands before the table, in the order of precedence."""

from datetime import timedelta

import pytest

from processor.domain.machine import (
    POLICY,
    REPEAT,
    TABLE,
    Applied,
    Refused,
    Repeated,
    State,
    Tombstone,
    asks_policy,
    decide,
    evolve,
)
from schemas.commands import Amount, Edition
from schemas.words import AfterFinal, Kind, Refusal, Rejection, Status, Verb
from tests.support.machine import FAILS, ID, NOON, PASSES, SECOND, allocation, applied, command, finish, reserve

CELLS = [
    # now              asked         → what comes of it
    (None, Verb.RESERVE, Status.RESERVED),
    (None, Verb.CLEAR, Refusal.NOT_FOUND),
    (None, Verb.RELEASE, Refusal.NOT_FOUND),
    (Status.RESERVED, Verb.RESERVE, REPEAT),
    (Status.RESERVED, Verb.CLEAR, Status.CLEARED),
    (Status.RESERVED, Verb.RELEASE, Status.RELEASED),
    (Status.REJECTED, Verb.RESERVE, REPEAT),
    (Status.REJECTED, Verb.CLEAR, Refusal.ALREADY_REJECTED),
    (Status.REJECTED, Verb.RELEASE, REPEAT),
    (Status.CLEARED, Verb.RESERVE, Refusal.ALREADY_CLEARED),
    (Status.CLEARED, Verb.CLEAR, REPEAT),
    (Status.CLEARED, Verb.RELEASE, Refusal.ALREADY_CLEARED),
    (Status.RELEASED, Verb.RESERVE, Refusal.ALREADY_RELEASED),
    (Status.RELEASED, Verb.CLEAR, Refusal.ALREADY_RELEASED),
    (Status.RELEASED, Verb.RELEASE, REPEAT),
]


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize(("now", "asked", "expected"), CELLS)
def test_each_cell_of_the_table(kind: Kind, now: Status | None, asked: Verb, expected: Status | Refusal | str) -> None:
    before = allocation(kind, now)
    decision = decide(before, command(kind, asked), PASSES, NOON)
    if expected == REPEAT:
        assert decision == Repeated()
    elif isinstance(expected, Refusal):
        assert isinstance(decision, Refused)
        assert decision.reason == expected
    else:
        assert isinstance(decision, Applied)
        after = evolve(before, decision.event)
        assert (expected, (before.version if before else 0) + 1) == (after.status, after.version)


def test_the_cells_above_are_all_of_them() -> None:
    assert {(now, verb) for now, verb, _ in CELLS} == {(now, verb) for now in TABLE for verb in TABLE[now]}
    assert TABLE[None][Verb.RESERVE] == POLICY


@pytest.mark.parametrize("after_final", AfterFinal)
@pytest.mark.parametrize("status", [None, *Status])
@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("late", [False, True])
def test_policy_is_asked_exactly_where_a_decision_rests_on_it(
    status: Status | None, verb: Verb, after_final: AfterFinal, *, late: bool
) -> None:
    state = allocation(Kind.ALLOCATION, status)
    asked = reserve(Kind.ALLOCATION, after_final) if verb is Verb.RESERVE else finish(Kind.ALLOCATION, verb)
    at = NOON + 16 * SECOND if late else NOON
    rests = decide(state, asked, PASSES, at) != decide(state, asked, FAILS, at)
    assert rests == asks_policy(state, asked, at)


@pytest.mark.parametrize("kind", Kind)
def test_policy_turns_a_new_reserve_down(kind: Kind) -> None:
    after = applied(None, reserve(kind), FAILS)
    assert (Status.REJECTED, 1, Rejection.INSUFFICIENT_BALANCE, "rejected") == (
        after.status,
        after.version,
        after.rejection_reason,
        after.policy_result,
    )


@pytest.mark.parametrize("kind", Kind)
def test_a_rejected_reserve_stays_rejected_even_if_it_would_pass_now(kind: Kind) -> None:
    assert decide(allocation(kind, Status.REJECTED), reserve(kind), PASSES, NOON) == Repeated()


@pytest.mark.parametrize("status", [None, *Status])
@pytest.mark.parametrize("verb", Verb)
def test_a_command_appended_after_its_deadline_changes_nothing(status: Status | None, verb: Verb) -> None:
    late = command(Kind.ALLOCATION, verb)
    decision = decide(allocation(Kind.ALLOCATION, status), late, PASSES, late.deadline + timedelta(milliseconds=1))
    assert decision == Refused(Refusal.EXPIRED)


def test_a_command_appended_at_its_deadline_still_counts() -> None:
    at_the_deadline = reserve(Kind.ALLOCATION)
    assert isinstance(decide(None, at_the_deadline, PASSES, at_the_deadline.deadline), Applied)


@pytest.mark.parametrize("status", Status)
def test_reserving_an_id_of_the_other_kind_is_refused_before_its_content_is_compared(status: Status) -> None:
    before = allocation(Kind.ALLOCATION, status)
    other = reserve(Kind.DEALLOCATION, AfterFinal.REISSUE, client_id="99999999-9999-4999-8999-999999999999")
    assert decide(before, other, PASSES, NOON) == Refused(Refusal.ID_IN_USE)


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize(
    "change",
    [
        {"amount": Amount(currency="BTC", quantity="6")},
        {"amount": Amount(currency="btc", quantity="5")},
        {"client_id": "99999999-9999-4999-8999-999999999999"},
        {"connection_id": "99999999-9999-4999-8999-999999999999"},
        {"partners_connection_id": "account-8"},
    ],
    ids=lambda change: next(iter(change)),
)
@pytest.mark.parametrize("after_final", AfterFinal)
def test_other_content_under_the_same_id_is_refused_whatever_the_status(
    status: Status, change: dict[str, object], after_final: AfterFinal
) -> None:
    before = allocation(Kind.ALLOCATION, status)
    decision = decide(before, reserve(Kind.ALLOCATION, after_final, **change), PASSES, NOON)
    assert decision == Refused(Refusal.DIFFERENT_CONTENT)


def test_nothing_but_the_content_is_compared() -> None:
    before = allocation(Kind.ALLOCATION, Status.RESERVED)
    same = reserve(
        Kind.ALLOCATION,
        partner_allocation_id="other",
        partner_client_id="other",
        notes="other",
        edition=Edition(quantity_form="string", client_id_spelling="partnersClientId"),
    )
    assert decide(before, same, PASSES, NOON) == Repeated()


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("verb", [Verb.CLEAR, Verb.RELEASE])
def test_finishing_an_id_under_the_other_kind_finds_nothing_and_leaves_no_tombstone(status: Status, verb: Verb) -> None:
    before = allocation(Kind.ALLOCATION, status)
    assert decide(before, finish(Kind.DEALLOCATION, verb), PASSES, NOON) == Refused(Refusal.NOT_FOUND)


@pytest.mark.parametrize("kind", Kind)
def test_only_a_release_of_nothing_leaves_a_tombstone(kind: Kind) -> None:
    assert decide(None, finish(kind, Verb.RELEASE), PASSES, NOON) == Refused(Refusal.NOT_FOUND, leaves_tombstone=True)
    assert decide(None, finish(kind, Verb.CLEAR), PASSES, NOON) == Refused(Refusal.NOT_FOUND)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("after_final", AfterFinal)
def test_a_tombstone_refuses_a_late_reserve_under_every_setting(kind: Kind, after_final: AfterFinal) -> None:
    tombstone: State = Tombstone(ID, kind, NOON - SECOND)
    assert decide(tombstone, reserve(kind, after_final), PASSES, NOON) == Refused(Refusal.ALREADY_RELEASED)


def test_a_tombstone_of_the_other_kind_is_an_id_in_use() -> None:
    tombstone = Tombstone(ID, Kind.ALLOCATION, NOON - SECOND)
    assert decide(tombstone, reserve(Kind.DEALLOCATION), PASSES, NOON) == Refused(Refusal.ID_IN_USE)


@pytest.mark.parametrize("verb", [Verb.CLEAR, Verb.RELEASE])
@pytest.mark.parametrize("kind", Kind)
def test_a_tombstone_is_not_there_for_clear_and_release(verb: Verb, kind: Kind) -> None:
    tombstone = Tombstone(ID, Kind.ALLOCATION, NOON - SECOND)
    assert decide(tombstone, finish(kind, verb), PASSES, NOON) == Refused(Refusal.NOT_FOUND)


def test_the_allocation_keeps_its_time_when_the_log_clock_goes_back() -> None:
    reserved = applied(None, reserve(Kind.ALLOCATION), at=NOON + SECOND)
    cleared = applied(reserved, finish(Kind.ALLOCATION, Verb.CLEAR), at=NOON)
    assert (NOON + SECOND, NOON + SECOND) == (cleared.created_at, cleared.updated_at)


def test_the_partner_id_is_bitgos_or_derived_from_the_id() -> None:
    sent = applied(None, reserve(Kind.ALLOCATION, partner_allocation_id="p-1"))
    minted = applied(None, reserve(Kind.ALLOCATION))
    other_kind = applied(None, reserve(Kind.DEALLOCATION))
    assert sent.partner_allocation_id == "p-1"
    assert minted.partner_allocation_id == applied(None, reserve(Kind.ALLOCATION)).partner_allocation_id
    assert minted.partner_allocation_id != other_kind.partner_allocation_id
