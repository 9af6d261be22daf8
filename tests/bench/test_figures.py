"""Percentiles, spreads and ratios."""

import math

import pytest

from bench.figures import percentile, ratios, spread


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1), (0.25, 1), (0.26, 2), (0.5, 2), (0.51, 3), (0.99, 4), (1.0, 4)]
)
def test_a_percentile_is_a_value_that_was_measured(share: float, expected: float) -> None:
    assert expected == percentile([4, 1, 3, 2], share)


def test_of_a_hundred_values_the_99th_percentile_is_the_second_largest() -> None:
    assert 99 == percentile(list(range(1, 101)), 0.99)


def test_nothing_measured_is_no_number() -> None:
    assert math.isnan(percentile([], 0.5))
    assert math.isnan(spread([]).median)


def test_a_spread_reads_as_median_and_range() -> None:
    assert "3 (1 to 10)" == f"{spread([10, 1, 3]):.0f}"


def test_a_ratio_compares_medians_and_each_round_with_its_own_neighbour() -> None:
    found = ratios([20, 40, 90], [10, 20, 30])
    assert (2.0, 2.0, 3.0) == (found.median, found.least, found.most)


def test_rounds_that_have_no_neighbour_are_an_error() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratios([1, 2], [1])
