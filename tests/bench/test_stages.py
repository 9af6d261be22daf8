"""Stages of a request, from calls that were noted; and that the probe knows the code it notes."""

import functools
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from bench.probe.sitecustomize import POINTS
from bench.stages import PROBE, STAGES, Call, in_order, joined, read, summary

ME, OTHER = (0, 1), (0, 2)
BATCH = ["3/7", "3/8"]
CALLS: list[Call] = [
    ("Access.bitgo", ME, 1.0, 2.0, []),
    ("Access.claim", ME, 3.0, 4.0, []),
    ("Access.claim", OTHER, 3.0, 40.0, []),
    ("Publisher.publish", ME, 4.0, 5.5, ["3/7"]),
    ("Outcomes._wait", ME, 6.0, 11.0, []),
    ("Outcomes.at", ME, 6.0, 12.0, []),
    ("answer_and_log", ME, 1.0, 13.0, []),
    ("Batcher.offer", (1, 0), 6.0, 6.1, ["3/7"]),
    ("Batcher.offer", (1, 0), 6.0, 6.1, ["3/8"]),
    ("Store.load", (1, 0), 7.0, 8.0, []),
    ("Store.commit", (1, 0), 9.0, 10.0, []),
    ("Applier.__call__", (1, 0), 7.0, 10.1, BATCH),
]


def test_the_stages_of_a_request_are_joined_by_its_place_in_the_log() -> None:
    assert [[0.0, 1.0, 2.0, 3.0, 4.0, 5.5, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0]] == joined(
        [("some.commands/3/7", 0.0, 14.0)], CALLS
    )


def test_a_batch_that_loads_nothing_has_loaded_when_it_starts() -> None:
    """What an earlier batch noted of its loading is not taken for it."""
    before = [("Store.load", (1, 0), -3.0, -2.0, []), ("Store.commit", (1, 0), -2.0, -1.0, [])]
    earlier: list[Call] = [*before, ("Applier.__call__", (1, 0), -3.0, -1.0, ["3/6"])]
    calls = [*earlier, *(call for call in CALLS if call[0] != "Store.load")]
    [path] = joined([("some.commands/3/7", 0.0, 14.0)], calls)
    assert [6.0, 7.0, 7.0, 9.0, 10.0] == path[6:11]


def test_a_stage_counts_only_as_far_as_somebody_waited_for_it() -> None:
    assert [1, 2, 2, 4] == in_order([1, 3, 2, 4])


def test_means_of_stages_add_up_to_the_mean_of_the_whole() -> None:
    found = summary([[0.0, *range(1, 15)], [0.0, *(n * n for n in range(1, 15))]])
    assert 2 == found["requests"]
    assert list(STAGES) == list(found["stages"])
    assert pytest.approx(found["total"]["mean"]) == sum(each["mean"] for each in found["stages"].values())
    assert pytest.approx((14 + 196) / 2 * 1000) == found["total"]["mean"]


def test_the_probe_knows_the_code_as_it_is() -> None:
    for module, names in POINTS.items():
        for name in names:
            assert callable(functools.reduce(getattr, name.split("."), import_module(module))), name


@pytest.mark.slow
def test_a_process_with_the_probe_notes_its_calls(tmp_path: Path) -> None:
    code = """
import asyncio
from processor.kafka.batcher import Batcher
from processor.domain.batch import Record
from service.health import Health
record = Record(3, 7, None, None, None, [])
asyncio.run(Batcher("commands", None, None, Health()).offer([record]))
"""
    env = {**os.environ, "PYTHONPATH": str(PROBE), "BENCH_PROBE": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=env, check=True)  # noqa: S603
    (file,) = tmp_path.glob("*.jsonl")
    name, request, started, ended, places = json.loads(file.read_text())
    assert ("Batcher.offer", 0, ["3/7"]) == (name, request, places)
    assert started <= ended
    assert [("Batcher.offer", (0, 0), started, ended, ["3/7"])] == read(tmp_path)
