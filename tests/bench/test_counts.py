"""System calls of a real process, counted from outside."""

import asyncio
import shutil
import subprocess
import sys

import pytest

from bench.counts import counted, render

ASKS = "import os, sys\nfor _ in sys.stdin:\n    for _ in range(20): os.getppid()\n    print(flush=True)"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace counts system calls, and is not installed")
async def test_the_calls_of_a_process_are_counted_while_the_work_goes_on() -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", ASKS, **pipes)
    assert process.stdin is not None
    assert process.stdout is not None

    async def work() -> None:
        process.stdin.write(b"\n")  # type: ignore[union-attr]
        await process.stdout.readline()  # type: ignore[union-attr]

    await work()
    calls, _ = await counted([process.pid], work())
    process.stdin.close()
    await process.wait()
    assert 20 == calls["getppid"]


def test_a_row_has_the_sum_of_the_calls_and_names_the_most_frequent() -> None:
    lines = render({"ingress": {"read": 2.0, "write": 3.0, "wake-ups": 4.0}}).splitlines()
    assert "| ingress | 5 | 4.0 | write 3.0, read 2.0 |" == lines[-1]
