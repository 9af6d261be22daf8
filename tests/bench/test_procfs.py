"""CPU and memory of processes, on real ones."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench.errors import BenchError
from bench.procfs import children, cpu_seconds, descendants, difference, resident_bytes, started_at, wake_ups

BURN = "import time; start = time.process_time()\nwhile time.process_time() < start + 0.3: pass"
ENDS = "subprocess.run([sys.executable, '-c', burn])"
LIVES = "subprocess.Popen([sys.executable, '-c', burn + chr(10) + 'input()'])"
LEAST = 0.2
"""Of 0.3 s: the kernel rounds down, several times."""


@contextmanager
def parent(child: str) -> Iterator[int]:
    """A process with a child of its own, which has burnt what it burns; gives its pid."""
    code = f"import subprocess, sys\nburn = {BURN!r}\n{child}\nprint(flush=True)\ninput()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as process:  # type: ignore[call-overload]  # noqa: S603
        assert process.stdout.readline() == b"\n"
        yield process.pid
        process.communicate(b"\n\n")


@pytest.mark.slow
def test_a_child_that_ended_is_counted_with_its_parent() -> None:
    with parent(ENDS) as pid:
        assert LEAST <= cpu_seconds({"tree": [pid]})["tree"] < 2
        assert {} == children(pid)


def test_a_child_that_lives_is_counted_with_its_parent() -> None:
    with parent(LIVES) as pid:
        (child,) = children(pid)
        deadline = time.monotonic() + 10
        while cpu_seconds({"child": [child]})["child"] < LEAST and time.monotonic() < deadline:
            time.sleep(0.05)
        assert LEAST <= cpu_seconds({"child": [child]})["child"] <= cpu_seconds({"tree": [pid]})["tree"] < 2
        assert 2_000_000 < resident_bytes({"child": [child]})["child"] < resident_bytes({"tree": [pid]})["tree"]


def test_whoever_sleeps_is_woken_and_counted() -> None:
    code = "import time\nfor _ in range(50): time.sleep(0.001)\nprint(flush=True)\ninput()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as process:  # type: ignore[call-overload]  # noqa: S603
        assert process.stdout.readline() == b"\n"
        assert [process.pid] == descendants([process.pid])
        assert 50 <= wake_ups([process.pid]) < 1000
        process.communicate(b"\n")


def test_what_was_used_between_two_readings() -> None:
    assert {"a": 1.5} == difference({"a": 3.5}, {"a": 2.0, "gone": 1.0})


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
