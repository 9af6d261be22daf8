"""Commands say of a malformed address what is wrong, and nothing of the address."""

import os
import subprocess
import sys

import pytest

SECRET = "hunter2hunter2"
ADDRESS = f"postgresql://user:p@{SECRET}@127.0.0.1:1/database"


@pytest.mark.parametrize(
    "command",
    [
        ["migrate"],
        ["verify", "--kafka", "127.0.0.1:1"],
        ["rebuild", "--kafka", "127.0.0.1:1"],
        ["checkpoint", "a.checkpoint", "--kafka", "127.0.0.1:1"],
        ["dead-letters", "list"],
        ["dead-letters", "show", "0", "0"],
        ["dead-letters", "discard", "0", "0", "--reason", "none"],
        ["topics"],
        ["ingress"],
        ["processor"],
        ["up", "--data", "never-made", "--postgres", ADDRESS],
    ],
    ids=" ".join,
)
def test_a_malformed_address_of_the_database(command: list[str]) -> None:
    environment = {f"{prefix}_POSTGRES_URL": ADDRESS for prefix in ("INGRESS", "PROCESSOR")}
    done = subprocess.run(  # noqa: S603 - our own argv
        [sys.executable, "-m", "cli", *command],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode not in (0, -1)
    assert "must be postgresql://" in done.stderr
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stdout + done.stderr
