"""`verify` and `rebuild` on the data folder of `allocations up`: while it runs, and when it does not."""

import asyncio
import os
import shutil
import signal
from pathlib import Path

import pytest

from bitgo.client import reserve_body
from schemas.words import Kind
from tests.cli.test_up import caller, gone, is_private, pids, start
from tests.support.cli import run


async def test_a_database_that_was_lost_is_made_anew(tmp_path: Path) -> None:
    data = tmp_path / "data"
    body = reserve_body(Kind.ALLOCATION)
    process, description = await start(data, "--ingress", "1", "--processors", "1")
    try:
        async with await caller(description) as bitgo:
            assert (await bitgo.reserve(Kind.ALLOCATION, body)).status == 200
            assert (await bitgo.clear(Kind.ALLOCATION, body["allocationId"])).status == 200
        assert is_private(str(data / "servers.json")), "it has the database's password"
        ran = await run("verify", "--data", str(data))
        assert 0 == ran.status, ran
        assert ran.out.startswith("2 commands in 8 partitions, 1 allocations, 1 accounts: no difference")
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
        assert (await run("verify", "--data", str(data))).status == 0
        await asyncio.to_thread(shutil.rmtree, data / "postgres")
        ran = await run("rebuild", "--data", str(data))
        assert 0 == ran.status, ran
        assert ran.out.startswith("2 commands by their events, 0 decided anew")
        assert "does not run" in ran.err
        process, description = await start(data, "--ingress", "1", "--processors", "1")
        async with await caller(description) as bitgo:
            assert "cleared" == (await bitgo.status(Kind.ALLOCATION, body["allocationId"])).body["status"]
        ran = await run("rebuild", "--data", str(data))
        assert 78 == ran.status
        assert "--resume" in ran.err
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()
            await gone(pids(description))


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--data", "/nowhere"], 78, "has not been used in /nowhere"),
        (["--data", "/nowhere", "--kafka", "127.0.0.1:1"], 2, "leave the other options out"),
    ],
    ids=str,
)
@pytest.mark.parametrize("verb", ["verify", "rebuild"])
async def test_a_folder_that_can_not_be_used(verb: str, options: list[str], status: int, words: str) -> None:
    ran = await run(verb, *options)
    assert (status, "") == (ran.status, ran.out)
    assert words in ran.err
