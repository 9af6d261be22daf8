"""Markdown."""

from bench.tables import table


def test_figures_stand_to_the_right() -> None:
    assert "| clients | rate |\n|---|--:|\n| 1 | 100 |\n| 8 | 300 |" == table(
        ["clients", "rate"], [["1", "100"], ["8", "300"]]
    )
