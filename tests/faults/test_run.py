"""The command that runs faults: what it is asked for, and where it puts its table."""

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest

from tests.checker.findings import Verdict
from tests.faults.run.catalog import FAULTS
from tests.faults.run.record import FULL, record

FOREIGN = ("read-only-postgres", "absent-standby", "foreign-large", "foreign-transaction", "false-notifications")
SEED = "318"
"""Each of them once within half a minute, none of the long ones, and the transaction is left open."""
SLACK = "3"


async def run(*arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.run", *arguments, stdout=PIPE, stderr=STDOUT
    )
    out, _ = await process.communicate()
    print(out.decode())
    return process.returncode or 0, out.decode()


async def test_an_unknown_fault_gets_a_sentence() -> None:
    status, out = await run("--faults", "kill-everybody")
    assert status == 2
    assert all(fault.name in out for fault in FAULTS)
    assert "Traceback" not in out


@pytest.mark.timeout(300)
async def test_servers_that_refuse_and_clients_that_nobody_knows() -> None:
    faults = ("--faults", ",".join(FOREIGN))
    status, out = await run("--seed", SEED, "--minutes", "0.5", "--slack", SLACK, *faults)
    assert status == 0
    assert all(f"| {name} | " in out for name in FOREIGN)
    assert f"|{' 0 |' * len(Verdict)}" in out


def test_a_table_is_put_between_its_markers(tmp_path: Path) -> None:
    begin, end = f"<!-- begin {FULL} -->", f"<!-- end {FULL} -->"
    (tmp_path / "docs").mkdir()
    for file in (tmp_path / "README.md", tmp_path / "docs" / "reliability.md"):
        file.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    record(["| a |", "|---|"], "In one sentence.", root=tmp_path)
    assert f"before\n{begin}\nIn one sentence.\n{end}\nafter\n" == (tmp_path / "README.md").read_text()
    assert f"before\n{begin}\n| a |\n|---|\n{end}\nafter\n" == (tmp_path / "docs" / "reliability.md").read_text()
