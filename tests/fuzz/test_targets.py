"""Every input of the corpus, within its bounds of time and memory; and a short search of each target.

`make fuzz` searches longer.
"""

import importlib
import importlib.util
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz.mutator import mutate
from tests.fuzz.run import CORPUS, TARGETS, run

SEARCH_SECONDS = 1
INPUT_MAX_SECONDS = 1.0
INPUT_MAX_BYTES_HELD = 20_000_000


def check_of(target: str) -> Callable[[bytes], None]:
    check: Callable[[bytes], None] = importlib.import_module(f"tests.fuzz.{target}").check
    return check


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_what_was_found_before(target: str) -> None:
    check = check_of(target)
    inputs = sorted((CORPUS / target).iterdir())
    assert inputs
    for path in inputs:
        data = path.read_bytes()
        tracemalloc.start()
        started = time.process_time()
        check(data)
        seconds, (_, peak) = time.process_time() - started, tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert (path.name, True, True) == (path.name, seconds < INPUT_MAX_SECONDS, peak < INPUT_MAX_BYTES_HELD)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris has no wheel for this platform")
@pytest.mark.parametrize(
    "target", [pytest.param(each, marks=() if each == "record" else pytest.mark.long) for each in TARGETS]
)
def test_a_short_search(target: str, tmp_path: Path) -> None:
    done = run(target, SEARCH_SECONDS, tmp_path)
    print(f"{target}: {done.executions} executions")
    assert [] == [(path.name, path.read_bytes()) for path in done.found], done.said[-3000:]
    assert done.is_good, done.said[-3000:]


def test_changes_to_json_keep_what_is_around_it() -> None:
    data = b'\x80{"a": {"b": 1}}\xff\xfekey'
    for seed in range(200):
        changed = mutate(data, 4096, seed, lambda data, _: data)
        assert changed.startswith(b"\x80{")
        assert changed.endswith(b"}\xff\xfekey")
