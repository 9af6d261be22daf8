"""A short selection of `make faults`: the densest half minute of it, by the same command and with the same checker."""

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT

import pytest

DENSEST = "kill-ingress,kill-processor,kill-postgres,cut-broker,in-publish,in-transaction,in-commit"


@pytest.mark.timeout(240)
async def test_half_a_minute_of_faults() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.run", "--minutes", "0.5", "--slack", "3", "--faults", DENSEST),
        stdout=PIPE,
        stderr=STDOUT,
    )
    out, _ = await process.communicate()
    print(out.decode())
    assert process.returncode == 0
