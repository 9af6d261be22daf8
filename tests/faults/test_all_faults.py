"""A minute of a fault run, every fault and pairs of them, by the same command and with the same checker."""

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT

import pytest

from tests.checker.findings import Verdict

SLACK = "3"
"""A busy machine fails no test: the targets themselves are judged by the full run."""


@pytest.mark.timeout(400)
async def test_a_minute_of_all_faults() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.run", "--minutes", "1", "--slack", SLACK), stdout=PIPE, stderr=STDOUT
    )
    out = (await process.communicate())[0].decode()
    print(out)
    assert process.returncode == 0
    assert f"| {' | '.join(Verdict)} |" in out
    assert f"|{' 0 |' * len(Verdict)}" in out
