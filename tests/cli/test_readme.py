"""The README's session with curl works when it is pasted."""

import asyncio
import json
import re
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

README = Path(__file__).parent.parent.parent / "README.md"


def session() -> str:
    """The block of shell that talks to the ingress."""
    blocks: list[str] = re.findall(r"```bash\n(.*?)```", README.read_text(), re.DOTALL)
    [block] = [each for each in blocks if "curl" in each]
    return block


async def test_the_session_with_curl(tmp_path: Path) -> None:
    up = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli", "up", "--data", str(tmp_path / ".data"), "--port", "0"),
        *("--ingress", "1", "--processors", "1"),
        stdout=PIPE,
        stderr=PIPE,
    )
    assert up.stdout is not None
    description = json.loads(await asyncio.wait_for(up.stdout.readline(), 90))
    pasted = (
        session()
        .replace("http://127.0.0.1:8080", description["ingress"])
        .replace(".venv/bin/allocations", f"{sys.executable} -m cli")
    )
    shell = await asyncio.create_subprocess_exec("bash", "-e", "-c", pasted, cwd=tmp_path, stdout=PIPE, stderr=PIPE)
    out, err = await asyncio.wait_for(shell.communicate(), 60)
    up.send_signal(signal.SIGINT)
    await up.communicate()
    assert shell.returncode == 0, err.decode()
    reserved, cleared, refused, read = (json.loads(line) for line in out.decode().splitlines())
    assert ("reserved", "cleared", "already_cleared", "cleared") == (
        reserved["status"],
        cleared["status"],
        refused["code"],
        read["allocation"]["status"],
    )
