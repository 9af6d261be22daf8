"""CPU and memory of processes, on real ones."""

import os
import subprocess
import sys
import time

import pytest

from bench.errors import BenchError
from bench.procfs import children, cpu_seconds, difference, resident_bytes, started_at

BURN = "import time; start = time.process_time()\nwhile time.process_time() < start + 0.3: pass"


def test_a_child_that_ended_is_counted_with_its_parent() -> None:
    me = {"me": [os.getpid()]}
    before = cpu_seconds(me)
    subprocess.run([sys.executable, "-c", BURN], check=True)  # noqa: S603
    assert 0.3 <= difference(cpu_seconds(me), before)["me"] < 2


def test_a_child_that_lives_is_counted_with_its_parent() -> None:
    me = {"me": [os.getpid()]}
    before, memory = cpu_seconds(me), resident_bytes(me)["me"]
    with subprocess.Popen([sys.executable, "-c", f"{BURN}\ninput()"], stdin=subprocess.PIPE) as child:  # noqa: S603
        deadline = time.monotonic() + 10
        while difference(cpu_seconds(me), before)["me"] < 0.3 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert 0.3 <= difference(cpu_seconds(me), before)["me"]
        assert memory + 2_000_000 < resident_bytes(me)["me"]
        assert 2_000_000 < resident_bytes({"child": [child.pid]})["child"] < resident_bytes(me)["me"]
        child.communicate(b"\n")


def test_the_start_of_a_process_is_on_our_clock() -> None:
    before = time.perf_counter()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert before - 0.02 <= started_at(child.pid) <= time.perf_counter()
        assert [sys.executable, "-c", "input()"] == children(os.getpid())[child.pid]
        child.communicate(b"\n")


def test_a_process_that_is_gone_is_an_error() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        pid = child.pid
    with pytest.raises(BenchError, match=f"process {pid} ended"):
        cpu_seconds({"gone": [pid]})
