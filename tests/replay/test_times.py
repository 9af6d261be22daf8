"""A replayed history comes out as the first one did, whatever the pace (decisions 10 and 13)."""

import uuid
from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.domain.machine import Allocation, Applied, Refused, State, Tombstone, Verdict, decide, evolve
from replay.pace import as_captured, at_once, steady
from replay.times import Times
from schemas.commands import FINISHES, RESERVES, ActivateConnection, Amount, Command, Edition
from schemas.words import AfterFinal, Kind, Verb
from tests.support.commands import NOON, stamps
from tests.support.platform import activate, issued

DAYS_LATER = NOON + timedelta(days=3)


@dataclass(frozen=True)
class Step:
    """One command of an id: appended so long after the one before it, and received so long before it was appended."""

    verb: Verb
    after_ms: int
    waited_us: int


REOPENED = [Step(Verb.RESERVE, 1, 0), Step(Verb.RELEASE, 1, 0), Step(Verb.RESERVE, 5, 300)]
"""Reserved, released and reserved again: from here on it counts when an order was received."""

MORE = st.lists(
    st.builds(
        Step,
        verb=st.sampled_from(Verb),
        after_ms=st.sampled_from([1, 2, 5, 500, 20_000]),
        waited_us=st.sampled_from([0, 300, 900, 1500, 3000, 600_000, 14_999_000, 15_000_001, 17_000_000]),
    ),
    max_size=9,
)
STEPS = st.sampled_from([[], REOPENED]).flatmap(lambda first: MORE.map(lambda more: first + more))


def history(steps: list[Step], after_final: AfterFinal = AfterFinal.REISSUE) -> list[tuple[Command, timedelta]]:
    """The commands of one deallocation id, and when each was appended."""
    allocation_id, content = str(uuid.uuid4()), {"client_id": str(uuid.uuid4()), "connection_id": str(uuid.uuid4())}
    at, found = timedelta(), []
    for step in steps:
        at += timedelta(milliseconds=step.after_ms)
        times = stamps(allocation_id, NOON + at - timedelta(microseconds=step.waited_us))
        if step.verb is Verb.RESERVE:
            command: Command = RESERVES[Kind.DEALLOCATION](
                **times,
                **content,
                amount=Amount(currency="BTC", quantity="5"),
                partners_connection_id="account",
                edition=Edition(),
                after_final=after_final,
            )
        else:
            command = FINISHES[Kind.DEALLOCATION, step.verb](**times)
        found.append((command, at))
    return found


def outcomes(commands: list[tuple[Command, timedelta]], start: timedelta = timedelta()) -> list[str]:
    state: State = None
    found = []
    for command, at in commands:
        recorded_at = NOON + start + at
        decision = decide(state, command, Verdict(), recorded_at)
        found.append(f"{decision.outcome} {getattr(decision, 'reason', '')}")
        if isinstance(decision, Applied):
            state = evolve(state if isinstance(state, Allocation) else None, decision.event)
        elif isinstance(decision, Refused) and decision.leaves_tombstone:
            state = Tombstone(command.allocation_id, command.kind, recorded_at)
    return found


@dataclass(frozen=True)
class Pace:
    """In milliseconds: from one record to the next, from sending to appending, and between the two clocks."""

    pause: int
    latency: int
    skew: int


PACES = st.lists(
    st.builds(Pace, st.integers(0, 9), st.integers(1, 9), st.integers(-4000, 4000)), min_size=12, max_size=12
)


def replayed(first: list[tuple[Command, timedelta]], paces: list[Pace]) -> list[tuple[Command, timedelta]]:
    """As `Load` does it: in flight together, unless the times count."""
    times, again, told = Times(), [], 0
    sent = appended = DAYS_LATER - NOON
    for (command, at), pace in zip(first, paces, strict=False):
        sent += timedelta(milliseconds=pace.pause)
        if times.count(command):
            sent = max(sent, appended + timedelta(milliseconds=1))
        while told < len(again) and again[told][1] < sent:
            times.appended(command.allocation_id, NOON + first[told][1], NOON + again[told][1])
            told += 1
        shifted = times.shift(command, NOON + at, NOON + sent + timedelta(milliseconds=pace.skew))
        appended = max(appended, sent + timedelta(milliseconds=pace.latency))
        again.append((shifted, appended))
    return again


@pytest.mark.slow
@settings(max_examples=200)
@given(STEPS, PACES, st.sampled_from(AfterFinal))
def test_every_outcome_is_the_same_at_any_pace_and_clock(
    steps: list[Step], paces: list[Pace], after_final: AfterFinal
) -> None:
    first = history(steps, after_final)
    assert outcomes(first) == outcomes(replayed(first, paces))


def test_only_the_two_times_are_changed() -> None:
    [(command, at)] = history([Step(Verb.RESERVE, 5, 3000)])
    shifted = Times().shift(command, NOON + at, DAYS_LATER)
    assert (DAYS_LATER, DAYS_LATER + timedelta(seconds=15)) == (shifted.received_at, shifted.deadline)
    changed = {"received_at", "deadline"}
    assert command.model_dump(exclude=changed) == shifted.model_dump(exclude=changed)


@given(st.datetimes(timezones=st.just(NOON.tzinfo)), st.datetimes(timezones=st.just(NOON.tzinfo)))  # type: ignore[arg-type]
def test_times_at_the_ends_of_the_calendar_do_no_harm(received_at: object, deadline: object) -> None:
    [(command, at)] = history([Step(Verb.CLEAR, 5, 3000)])
    odd = command.model_copy(update={"received_at": received_at, "deadline": deadline})
    Times().shift(odd, NOON + at, DAYS_LATER)


def test_paces() -> None:
    original, double, even, now = as_captured(1000), as_captured(1000, 2.0), steady(50), at_once()
    stamps_ms = [1000, 1500, 1400, 3000]
    assert [0.0, 0.5, 0.5, 2.0] == [original(n, at) for n, at in enumerate(stamps_ms)]
    assert [0.0, 0.25, 0.25, 1.0] == [double(n, at) for n, at in enumerate(stamps_ms)]
    assert [0.0, 0.02, 0.04, 0.06] == [even(n, at) for n, at in enumerate(stamps_ms)]
    assert [0.0] * 4 == [now(n, at) for n, at in enumerate(stamps_ms)]


@pytest.mark.parametrize(
    ("left_seconds", "expired"), [(-3600, True), (-1, True), (0, False), (5, False), (9999, False)]
)
def test_a_token_that_had_expired_has_and_one_that_had_not_has_not(left_seconds: int, expired: bool) -> None:  # noqa: FBT001
    appended, later = NOON + timedelta(seconds=1), NOON + timedelta(days=30)
    command = activate(str(uuid.uuid4()), of=issued(expires_at=appended + timedelta(seconds=left_seconds)))
    again = Times().shift(command, appended, later)
    assert isinstance(again, ActivateConnection)
    assert again.issued is not None
    appended_again = (later, again.deadline)
    assert [expired] * 2 == [each > again.issued.expires_at for each in appended_again]
