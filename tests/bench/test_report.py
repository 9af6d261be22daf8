"""From results to tables."""

import pytest

from bench.errors import BenchError
from bench.growth.backlog import rate
from bench.growth.render import curve, disk
from bench.report import filled
from bench.samples import Sample, document, load
from bench.tables import cpu_table, floor_table, latency_table, open_table


def sample(rate: float) -> Sample:
    cpu = {"ingress": 0.4, "processor": 0.3, "kafka": 0.2, "postgres": 0.1, "client": 0.05}
    return Sample(100, 1.0, rate, 2.0, 5.0, 3.0, 6.0, cpu)


FOUND = {
    name: {1: [sample(rate), sample(rate * 1.5), sample(rate * 2)]}
    for name, rate in {"product": 100.0, "floor": 200.0, "complete floor": 150.0}.items()
}


def test_the_ratio_to_the_floor_comes_first() -> None:
    assert (
        floor_table(FOUND).splitlines()[2].startswith("| 1 | 0.50 (0.50 to 0.50) | 0.67 (0.67 to 0.67) | 150 (100 to")
    )


def test_the_sum_of_the_processes_stands_at_the_end() -> None:
    assert cpu_table(FOUND).splitlines()[2].endswith("| 0.40 | 0.30 | 0.20 | 0.10 | 0.05 | 1.05 | 0.00 |")


def test_latencies_have_a_row_for_each_subject() -> None:
    assert ["product", "floor", "complete floor"] == [
        line.split(" | ")[1] for line in latency_table(FOUND).splitlines()[2:]
    ]


def test_an_open_loop_says_how_many_answers_were_others() -> None:
    measured = sample(50).document() | {"wrong": {"503": 3, "500": 1}}
    assert open_table({"50": measured}).splitlines()[2].endswith("| 4 |")


def test_samples_survive_being_written() -> None:
    assert FOUND == load(document(FOUND))


def test_a_point_of_a_curve_is_compared_with_the_stack_that_took_turns() -> None:
    """Round by round: here the machine got slower from one to the next, and the rows cost a tenth."""
    names = ("pairs_per_second", "reserve_p50", "reserve_p99", "clear_p50", "clear_p99")
    cpu = ("cpu_ingress", "cpu_processor", "cpu_kafka", "cpu_postgres")
    rates = {"32": {"here": [90.0, 45.0, 18.0], "beside": [100.0, 50.0, 20.0]}}
    part = {
        "what": "rows",
        "points": [{"x": 10**7, "levels": {"32": dict.fromkeys(names + cpu, 45.0)}, "rates": rates}],
    }
    assert curve(part).splitlines()[2].startswith("| 10,000,000 | 32 | 0.90 (0.90 to 0.90) | 45 | ")


def test_a_document_is_filled_between_its_marks() -> None:
    text = "a\n<!-- begin closed -->\nold\n<!-- end closed -->\nb\n"
    assert "a\n<!-- begin closed -->\nnew \\1\n<!-- end closed -->\nb\n" == filled(text, {"closed": "new \\1"})


def test_a_part_without_marks_is_an_error() -> None:
    with pytest.raises(BenchError, match="no part <!-- begin open -->"):
        filled("nothing", {"open": "new"})


def test_bytes_are_given_for_one_allocation_by_store_and_in_sum() -> None:
    part = {"allocations": 10, "kafka_bytes": {"commands": 9000, "letters": 5}, "postgres_bytes": {"journal": 28_000}}
    assert [
        "| store | bytes per allocation, of 10 |",
        "|---|--:|",
        "| commands | 900 |",
        "| **Kafka** | **900** |",
        "| journal | 2,800 |",
        "| **Postgres** | **2,800** |",
    ] == disk(part).splitlines()


def test_a_backlog_is_drained_at_the_rate_that_was_watched() -> None:
    curve = [(1.0, 500, 0), (2.0, 3000, 100), (3.0, 4500, 2000), (4.0, 4500, 4500)]
    points = [{"seconds": seconds, "applied": applied, "published": events} for seconds, applied, events in curve]
    assert (2000, 1500) == (rate(points, "applied"), rate(points, "published"))
