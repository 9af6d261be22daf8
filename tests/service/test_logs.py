"""Log lines, of a real process."""

import subprocess
import sys
from pathlib import Path

import pytest

LOGGING = """
from service.logs import configure_logs, logger
from service.settings import ServiceSettings

configure_logs(ServiceSettings(postgres_url="postgresql://"), "process")
for _ in range(1000):
    logger("part").info("worked", detail="x" * 100)
print("still there")
"""


def run(log: Path) -> str:
    with log.open("w") as stderr:
        return subprocess.run(  # noqa: S603 - our own argv
            [sys.executable, "-c", LOGGING], stdout=subprocess.PIPE, stderr=stderr, text=True, check=False
        ).stdout


@pytest.mark.slow
def test_a_full_disk_under_the_log_ends_nothing() -> None:
    assert "still there\n" == run(Path("/dev/full"))


@pytest.mark.slow
def test_lines_arrive(tmp_path: Path) -> None:
    assert "still there\n" == run(tmp_path / "log")
    assert 1000 == len((tmp_path / "log").read_text().splitlines())
