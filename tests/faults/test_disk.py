"""The disk that a run may fill up: full is full, and nothing of it is left behind. In its own process, as in a run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FILLING = """
import asyncio, errno, sys
from pathlib import Path
from tests.faults.run.disk import Disk, throw_away

async def main(folder):
    disk = Disk(folder)
    disk.make()
    if disk.why_not:
        sys.exit(disk.why_not)
    async with disk.full():
        try:
            (disk.folder / "file").write_bytes(b"x" * 100_000)
        except OSError as error:
            print(errno.errorcode[error.errno])
    (disk.folder / "file").write_bytes(b"x")
    throw_away(folder)

asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system that may be filled up")
def test_full_is_full_and_nothing_is_left(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    done = subprocess.run(  # noqa: S603 - our own argv
        [sys.executable, "-c", FILLING, str(folder)], capture_output=True, text=True, check=False
    )
    if "can be mounted here" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert ("ENOSPC\n", "", 0) == (done.stdout, done.stderr, done.returncode)
    assert not folder.exists()
    assert str(folder) not in Path("/proc/mounts").read_text()
