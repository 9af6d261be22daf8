"""Markdown."""

from bench.tables import profile_table, table


def test_figures_stand_to_the_right() -> None:
    assert "| clients | rate |\n|---|--:|\n| 1 | 100 |\n| 8 | 300 |" == table(
        ["clients", "rate"], [["1", "100"], ["8", "300"]]
    )


def test_a_profile_is_cost_by_part_the_dearest_under_load_first() -> None:
    levels = {
        "1": {"cpu": {"ingress": 2.0, "kafka": 1.0}, "shares": {"ingress": {"HTTP": 0.75, "token": 0.25}}},
        "32": {"cpu": {"ingress": 0.5, "kafka": 0.1}, "shares": {"ingress": {"token": 0.8, "HTTP": 0.2}}},
    }
    assert profile_table(levels, 0.18).splitlines() == [
        "| part | ingress, µs, 1 client | ingress, µs, 32 clients |",
        "|---|--:|--:|",
        "| token | 500 | 400 |",
        "| HTTP | 1500 | 100 |",
        "| **all of it** | **2000** | **500** |",
        "",
        "A bare web server alone, µs for a request: 180.",
    ]
