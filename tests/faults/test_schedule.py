"""The order in which things break: from the seed alone, and nothing is forgotten."""

from itertools import islice
from random import Random

from tests.faults.run.catalog import FAULTS
from tests.faults.run.schedule import PAIRS_PER_ROUND, schedule

ROUND = len(FAULTS) + round(len(FAULTS) * PAIRS_PER_ROUND)


def names(seed: int, count: int) -> list[tuple[str, ...]]:
    return [tuple(fault.name for fault in each) for each in islice(schedule(FAULTS, Random(seed)), count)]


def test_the_seed_decides() -> None:
    assert names(1, 3 * ROUND) == names(1, 3 * ROUND)
    assert names(1, 3 * ROUND) != names(2, 3 * ROUND)


def test_a_round_has_every_fault_once_and_then_pairs() -> None:
    first = names(7, ROUND)
    singles = [each for each in first if len(each) == 1]
    assert sorted((fault.name,) for fault in FAULTS) == sorted(singles)
    assert all(len(set(each)) == 2 for each in first[len(FAULTS) :])


def test_one_fault_alone_is_repeated() -> None:
    assert [("kill-broker",)] * 3 == [
        tuple(each.name for each in some)
        for some in islice(schedule([fault for fault in FAULTS if fault.name == "kill-broker"], Random(1)), 3)
    ]
