"""`allocations up`: one line of JSON, state that survives, a clean stop; and what others do on its folder."""

import asyncio
import json
import os
import re
import shutil
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest

from bitgo.client import SIGNATURE, reserve_body
from schemas.words import Kind
from tests.cli.conftest import Stack, Start
from tests.support.cli import run
from tests.support.servers import ROOT


async def test_given_a_stack_then_its_line_the_readme_and_verify_hold_and_what_dies_is_restarted(
    up: Start, tmp_path: Path
) -> None:
    """All that does not need a start of its own."""
    data = tmp_path / ".data"
    stack = await up(data, "--ingress", 2, "--processors", 2)
    await the_line_says_where_everything_is(stack)
    await the_session_of_the_readme_works_when_it_is_pasted(stack, tmp_path)
    ran = await run("verify", "--data", data)
    assert (0, True) == (ran.status, ": no difference\n" in ran.out), ran
    await nobody_else_starts_on_it(data)
    await what_dies_is_restarted(stack)
    stack.process.send_signal(signal.SIGINT)
    assert stack.process.stdout is not None
    assert b"" == await stack.process.stdout.read()
    assert 0 == await stack.stop()


async def the_line_says_where_everything_is(stack: Stack) -> None:
    said = stack.description
    private = {"privateKeyFile", "operatorTokenFile"}
    assert {
        "ingress",
        "metrics",
        "kafka",
        "postgres",
        "data",
        "enterpriseId",
        "connections",
        "pids",
    } | private == said.keys()
    assert (2, 2, 4) == (len(said["pids"]["ingress"]), len(said["pids"]["processor"]), len(said["metrics"]))
    assert 7 == len(stack.pids()) == len(stack.alive())
    async with aiohttp.ClientSession() as session:
        for url in said["metrics"]:
            async with session.get(url) as response:
                assert "allocations_ready 1.0" in await response.text()
    with psycopg.connect(said["postgres"]) as connection:
        assert (8,) == connection.execute("SELECT count(*) FROM watermark").fetchone()
    for file in (*(said[name] for name in private), f"{said['data']}/servers.json"):
        assert is_private(file)
    async with stack.caller() as bitgo:
        body = reserve_body(Kind.ALLOCATION)
        assert 200 == (await bitgo.reserve(Kind.ALLOCATION, body)).status
        partners = f"/api/network/v1/enterprises/{said['enterpriseId']}/partners/allocations"
        bearer = {"Authorization": f"Bearer {text_of(said['operatorTokenFile']).strip()}"}
        reply = await bitgo.call("GET", partners, bearer)
        assert [body["allocationId"]] == [each["id"] for each in reply.body["allocations"]]


async def the_session_of_the_readme_works_when_it_is_pasted(stack: Stack, folder: Path) -> None:
    """The block of shell that talks to the ingress, in the folder whose `.data` is the stack's."""
    blocks: list[str] = re.findall(r"```bash\n(.*?)```", text_of(ROOT / "README.md"), re.DOTALL)
    [block] = [each for each in blocks if "curl" in each]
    pasted = block.replace("http://127.0.0.1:8080", stack.description["ingress"])
    pasted = pasted.replace(".venv/bin/allocations", f"{sys.executable} -m cli")
    shell = await asyncio.create_subprocess_exec("bash", "-e", "-c", pasted, cwd=folder, stdout=PIPE, stderr=PIPE)
    out, err = await asyncio.wait_for(shell.communicate(), 60)
    assert 0 == shell.returncode, err.decode()
    lines = out.decode().splitlines()
    reserved, cleared, refused, read = map(json.loads, lines[:4])
    assert ("reserved", "cleared", "already_cleared", "cleared") == (
        reserved["status"],
        cleared["status"],
        refused["code"],
        read["allocation"]["status"],
    )
    shown = "\n".join(lines[4:])
    assert all(outcome in shown for outcome in ("reserve", "clear", "release", "applied", "already_cleared")), shown


async def nobody_else_starts_on_it(data: Path) -> None:
    second = await run("up", "--data", data, "--port", 0)
    assert (1, "") == (second.status, second.out)
    assert "is in use" in second.err


async def what_dies_is_restarted(stack: Stack) -> None:
    for pid in (*stack.description["pids"]["ingress"], *stack.description["pids"]["processor"]):
        os.kill(pid, signal.SIGKILL)
    async with stack.caller() as bitgo, asyncio.timeout(30):
        while True:
            try:
                if (await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))).status == 200:
                    return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)


@pytest.mark.long
async def test_given_a_folder_then_its_state_survives_each_way_to_end_and_the_loss_of_its_database(
    up: Start, tmp_path: Path
) -> None:
    data, found = tmp_path / "data", Lives()
    stack = await up(
        data,
        *("--ingress", 1, "--processors", 2, "--enterprise-id", "ours", "--partitions", 3),
        INGRESS_REJECTED_AS="422",
        PROCESSOR_CURRENCIES='["ETH"]',
    )
    await settings_came_from_options_and_environment(stack)
    assert 0 == await stack.stop(signal.SIGTERM)
    for ending, status in ((signal.SIGKILL, -9), (signal.SIGINT, 0)):
        stack = await up(data, "--ingress", 1, "--processors", 1)
        await found.live(stack)
        assert status == await stack.stop(ending)
    assert 0 == (await run("verify", "--data", data)).status
    await asyncio.to_thread(shutil.rmtree, data / "postgres")
    found.used.clear()  # which tokens were used is lost with the tables
    ran = await run("rebuild", "--data", data)
    assert (0, True) == (ran.status, " commands by their events" in ran.out), ran
    assert "does not run" in ran.err
    stack = await up(data, "--ingress", 1, "--processors", 1)
    await found.live(stack)
    ran = await run("rebuild", "--data", data)
    assert (78, True) == (ran.status, "--resume" in ran.err or "at work on this database" in ran.err), ran
    await stack.stop(signal.SIGINT, signal.SIGINT)  # twice in a row, and no process is left


class Lives:
    """What was done in the lives before."""

    def __init__(self) -> None:
        self.used: dict[str, str] = {}
        self._bodies: list[dict[str, Any]] = []

    async def live(self, stack: Stack) -> None:
        """All that was is there, the used token too; all partitions are served at once, by fewer workers."""
        async with stack.caller() as bitgo:
            for body in self._bodies:
                assert "cleared" == (await bitgo.status(Kind.ALLOCATION, body["allocationId"])).body["status"]
            if self.used:
                path = f"/bitgo/v1/allocation/{self._bodies[0]['allocationId']}"
                assert 401 == (await bitgo.call("GET", path, self.used)).status
            bodies = [reserve_body(Kind.ALLOCATION) for _ in range(24)]
            replies = await asyncio.gather(*[bitgo.reserve(Kind.ALLOCATION, body) for body in bodies])
            assert [200] * 24 == [reply.status for reply in replies]
            self.used = {SIGNATURE: bitgo.headers()[SIGNATURE]}
            path = f"/bitgo/v1/allocation/{bodies[0]['allocationId']}/clear"
            assert 200 == (await bitgo.call("PUT", path, self.used)).status
            self._bodies.append(bodies[0])


async def settings_came_from_options_and_environment(stack: Stack) -> None:
    assert "ours" == stack.description["enterpriseId"]
    async with stack.caller() as bitgo:
        reply = await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))
    assert (422, "unsupported_currency") == (reply.status, reply.body["rejectionReason"])
    with psycopg.connect(stack.description["postgres"]) as connection:
        assert (3,) == connection.execute("SELECT partitions FROM log_identity").fetchone()


def text_of(file: str | Path) -> str:
    return Path(file).read_text()


def is_private(file: str) -> bool:
    return Path(file).stat().st_mode & 0o077 == 0
