"""Whose time a sample is: the innermost frame that says it."""

import pytest

from bench.errors import BenchError
from bench.profile import LOOP, part_of, parts

LIB = "/env/lib/python3.11"
RUNNER = [f"run ({LIB}/asyncio/runners.py:118)", f"run ({LIB}/site-packages/uvloop/__init__.py:92)"]


@pytest.mark.parametrize(
    ("frames", "part"),
    [
        ([], LOOP),
        (["answer_and_log (/code/ingress/http/middleware.py:20)", "dumps (<frozen json>:1)"], "log lines and metrics"),
        (
            [f"start ({LIB}/site-packages/aiohttp/web_protocol.py:1)", "reserve (/code/ingress/allocations.py:9)"],
            "requests, records, answers",
        ),
        (["reserve (/code/ingress/allocations.py:9)", f"json_response ({LIB}/site-packages/aiohttp/web.py:3)"], "HTTP"),
        (["apply (/code/processor/apply.py:3)", f"sha256 ({LIB}/hashlib.py:5)"], "deciding, journal, hashes"),
        (
            ["apply (/code/processor/apply.py:3)", f"execute ({LIB}/site-packages/psycopg/cursor.py)"],
            "Postgres client, statements",
        ),
    ],
)
def test_a_sample_belongs_to_the_innermost_telling_frame(frames: list[str], part: str) -> None:
    assert part == part_of(RUNNER + frames)


def test_shares_add_up() -> None:
    shares = parts(["a (/code/ingress/allocations.py:1) 1", "a (/x.py);b (/env/faust/agent.py:2) 3"])
    assert shares == {"Faust": 0.75, "requests, records, answers": 0.25}


def test_nothing_seen_is_an_error() -> None:
    with pytest.raises(BenchError):
        parts([])
