"""What docs/integrate.md tells people to paste works when it is pasted."""

import asyncio
import json
import re
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from tests.conformance.conftest import serving

INTEGRATE = Path(__file__).parent.parent.parent / "docs" / "integrate.md"


def blocks(section: str) -> str:
    """The shell of one half of the document."""
    parts = re.split(r"^## ", INTEGRATE.read_text(), flags=re.MULTILINE)
    [part] = [each for each in parts if each.startswith(section)]
    return "\n".join(re.findall(r"```bash\n(.*?)```", part, re.DOTALL)).replace(
        ".venv/bin/allocations", f"{sys.executable} -m cli"
    )


async def paste(script: str, folder: Path) -> str:
    shell = await asyncio.create_subprocess_exec("bash", "-e", "-c", script, cwd=folder, stdout=PIPE, stderr=PIPE)
    out, err = await asyncio.wait_for(shell.communicate(), 120)
    assert shell.returncode == 0, out.decode() + err.decode()
    return out.decode()


@pytest.mark.long
async def test_for_a_platform_that_runs_this_service(tmp_path: Path) -> None:
    up = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli", "up", "--data", str(tmp_path / ".data"), "--port", "0"),
        *("--ingress", "1", "--processors", "1"),
        stdout=PIPE,
        stderr=PIPE,
    )
    assert up.stdout is not None
    try:
        description = json.loads(await asyncio.wait_for(up.stdout.readline(), 90))
        script = blocks("You run this service").replace("http://127.0.0.1:8080", description["ingress"])
        out = await paste(script, tmp_path)
    finally:
        up.send_signal(signal.SIGINT)
        await up.communicate()
    assert " 0 failed" in out
    assert "<title>Conformance of " in (tmp_path / "conformance.html").read_text()


async def test_for_a_platform_that_wrote_its_own(key: Path, tmp_path: Path) -> None:
    folder = tmp_path / "kit"
    folder.mkdir()
    for file in key.parent.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    async with serving(key) as url:
        out = await paste(blocks("You wrote your own").replace("http://127.0.0.1:8080", url), tmp_path)
    assert "3 passed, 0 failed" in out
