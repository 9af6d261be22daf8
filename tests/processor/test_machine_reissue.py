"""Ids that may be issued again: what re-opens a released one, and what comes too late (decision 13)."""

from datetime import timedelta

import pytest

from processor.domain.machine import (
    REISSUE,
    REPEAT,
    Applied,
    Refused,
    Repeated,
    decide,
    evolve,
)
from schemas.commands import Edition
from schemas.words import AfterFinal, Kind, Refusal, Rejection, Status, Verb
from tests.support.machine import (
    FAILS,
    NOON,
    PASSES,
    SECOND,
    allocation,
    applied,
    finish,
    reserve,
)

REISSUED = [
    (Status.RESERVED, REPEAT),
    (Status.REJECTED, REPEAT),
    (Status.CLEARED, REPEAT),
    (Status.RELEASED, Status.RESERVED),
]


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize(("now", "expected"), REISSUED)
def test_each_reserve_where_finished_ids_may_be_issued_again(kind: Kind, now: Status, expected: Status | str) -> None:
    before = allocation(kind, now)
    decision = decide(before, reserve(kind, AfterFinal.REISSUE), PASSES, NOON)
    if expected == REPEAT:
        assert decision == Repeated()
    else:
        assert isinstance(decision, Applied)
        assert evolve(before, decision.event).status == expected
    assert set(REISSUE) <= {status for status, _ in REISSUED}


def test_a_reissue_goes_on_with_version_and_keeps_creation_partner_id_edition_and_extras() -> None:
    opened = applied(None, reserve(Kind.DEALLOCATION, at=NOON, notes="first", partner_client_id=""), at=NOON)
    released = applied(opened, finish(Kind.DEALLOCATION, Verb.RELEASE, NOON + SECOND), at=NOON + SECOND)
    again = reserve(
        Kind.DEALLOCATION,
        AfterFinal.REISSUE,
        NOON + 2 * SECOND,
        notes="second",
        partner_allocation_id="new",
        edition=Edition(quantity_form="string"),
    )
    reopened = applied(released, again, at=NOON + 3 * SECOND)
    expected = released._replace(
        status=Status.RESERVED,
        version=3,
        updated_at=NOON + 3 * SECOND,
        reissued_at=NOON + 3 * SECOND,
        decided_by=again.command_id,
    )
    assert expected == reopened


def test_a_reissue_is_decided_by_policy_again() -> None:
    released = allocation(Kind.DEALLOCATION, Status.RELEASED)
    after = applied(released, reserve(Kind.DEALLOCATION, AfterFinal.REISSUE), FAILS)
    assert (Status.REJECTED, Rejection.INSUFFICIENT_BALANCE, 3) == (after.status, after.rejection_reason, after.version)


@pytest.mark.parametrize("earlier", [timedelta(0), timedelta(milliseconds=1)])
def test_a_reserve_that_was_received_before_the_release_does_not_reopen_it(earlier: timedelta) -> None:
    released = allocation(Kind.DEALLOCATION, Status.RELEASED)
    assert released is not None
    old = reserve(Kind.DEALLOCATION, AfterFinal.REISSUE, at=released.updated_at - earlier)
    assert decide(released, old, PASSES, NOON) == Refused(Refusal.ALREADY_RELEASED)


@pytest.mark.parametrize("verb", [Verb.CLEAR, Verb.RELEASE])
@pytest.mark.parametrize("then", [None, Verb.CLEAR, Verb.RELEASE])
def test_an_order_that_was_received_before_the_reissue_is_refused(verb: Verb, then: Verb | None) -> None:
    reopened = applied(allocation(Kind.DEALLOCATION, Status.RELEASED), reserve(Kind.DEALLOCATION, AfterFinal.REISSUE))
    if then is not None:
        reopened = applied(reopened, finish(Kind.DEALLOCATION, then, NOON + SECOND), at=NOON + SECOND)
    old = finish(Kind.DEALLOCATION, verb, NOON - timedelta(microseconds=1))
    assert decide(reopened, old, PASSES, NOON + 2 * SECOND) == Refused(Refusal.ALREADY_RELEASED)


def test_an_order_that_was_received_with_the_reissue_counts() -> None:
    reopened = applied(allocation(Kind.DEALLOCATION, Status.RELEASED), reserve(Kind.DEALLOCATION, AfterFinal.REISSUE))
    assert applied(reopened, finish(Kind.DEALLOCATION, Verb.CLEAR, NOON)).status == Status.CLEARED
