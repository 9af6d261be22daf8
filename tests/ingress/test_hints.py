"""Who is woken by which announcement (decision 9), for any order of waiting, announcing and correcting."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress.outcomes.hints import Hints
from ingress.outcomes.log_check import LogCheck
from schemas.records import Position
from service.health import Health

PARTITIONS, OFFSETS = st.integers(0, 2), st.integers(0, 6)
ENDS = st.dictionaries(PARTITIONS, OFFSETS)
STEPS = st.lists(
    st.tuples(st.sampled_from(["first", "next"]), PARTITIONS, OFFSETS)
    | st.tuples(st.sampled_from(["give", "correct"]), ENDS)
    | st.tuples(st.just("cancel"), st.integers(0, 10))
)


@dataclass
class Expected:
    """The same by plain words: who waits is woken by the first announcement beyond its offset."""

    said: dict[int, int] = field(default_factory=dict)
    waiting: list[tuple[int, int, "asyncio.Future[None]"]] = field(default_factory=list)
    woken: list["asyncio.Future[None]"] = field(default_factory=list)

    def give(self, ends: dict[int, int]) -> None:
        self.said |= {partition: max(end, self.said.get(partition, 0)) for partition, end in ends.items()}
        beyond = [each for each in self.waiting if each[1] < ends.get(each[0], 0)]
        self.woken += [each[2] for each in beyond]
        self.waiting = [each for each in self.waiting if each not in beyond]


async def _play(steps: list[Any]) -> None:
    hints, expected = Hints(), Expected()
    for what, *given_ in steps:
        if what in ("first", "next"):
            partition, offset = given_
            hint = getattr(hints, what)(partition, offset)
            if what == "first" and expected.said.get(partition, 0) > offset:
                expected.woken.append(hint)
            else:
                expected.waiting.append((partition, offset, hint))
        elif what == "cancel":
            for _, _, hint in expected.waiting[given_[0] : given_[0] + 1]:
                hint.cancel()
            del expected.waiting[given_[0] : given_[0] + 1]
        else:
            if what == "correct":
                expected.said.clear()
            getattr(hints, what)(given_[0])
            expected.give(given_[0])
        assert all(hint.done() and not hint.cancelled() for hint in expected.woken)
        assert not any(hint.done() for _, _, hint in expected.waiting)
        assert [expected.said.get(partition, 0) for partition in range(3)] == [hints.said(each) for each in range(3)]
        assert bool(expected.waiting) == hints.are_awaited()


@given(STEPS)
def test_given_any_history_then_exactly_those_are_woken_whose_position_was_passed(steps: list[Any]) -> None:
    with asyncio.Runner() as runner:
        runner.run(_play(steps))


async def test_given_somebody_who_waits_then_the_poll_is_asked_to_hurry() -> None:
    hints = Hints()
    assert not hints.wanted.is_set()
    hints.first(0, 5)
    assert hints.wanted.is_set()


PLACES = [Position("commands", partition, 5) for partition in range(2)]


@pytest.fixture
def health() -> Iterator[Health]:
    """Ready until a check says otherwise."""
    health = Health()
    yield health
    for part in health.problems:
        health.well(part)


def test_given_two_partitions_that_differ_then_it_is_well_when_both_agree(health: Health) -> None:
    check = LogCheck(health)
    for place in PLACES:
        check.differs(place, "mine", None)
    assert [(place, "mine") for place in PLACES] == check.differing()
    check.agrees(0)
    assert {"log"} == health.problems.keys()
    check.agrees(1)
    assert ({}, []) == (health.problems, check.differing())


def test_given_a_partition_that_differs_then_the_sentence_names_both_and_the_remedy(health: Health) -> None:
    LogCheck(health).differs(PLACES[0], "mine", None)
    words = health.problems["log"]
    assert all(each in words for each in ("commands/0/5", "command mine", "nothing in the journal", "Point this"))


def test_given_a_problem_of_another_part_then_agreeing_leaves_it(health: Health) -> None:
    health.problem("kafka", "away")
    LogCheck(health).agrees(0)
    assert {"kafka"} == health.problems.keys()
