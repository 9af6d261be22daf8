"""`allocations up`, through the same door as a user: one line of JSON, state that survives, a clean stop."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest

from bitgo.client import BitGo, load_private_key, reserve_body
from schemas.words import Kind

READY_SECONDS = 90


async def start(data: Path, *options: str, **environment: str) -> tuple[Process, dict[str, Any]]:
    with (data.parent / "up.err").open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "cli", "up", "--data", str(data), "--port", "0", *options),
            stdout=PIPE,
            stderr=errors,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), READY_SECONDS)
    assert line, (data.parent / "up.err").read_text()
    return process, json.loads(line)


def pids(description: dict[str, Any]) -> list[int]:
    found = description["pids"]
    single = [found[name] for name in ("up", "kafka", "postgres") if found[name]]
    return [*single, *found["ingress"], *found["processor"]]


def alive(candidates: list[int]) -> list[int]:
    return [pid for pid in candidates if Path(f"/proc/{pid}").exists() and "Z" not in _state(pid)]


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"


async def gone(candidates: list[int]) -> None:
    async with asyncio.timeout(30):
        while alive(candidates):
            await asyncio.sleep(0.1)


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Start `up`; what is still there at the end is killed."""
    started: list[tuple[Process, dict[str, Any]]] = []

    async def begin(*options: str, **environment: str) -> tuple[Process, dict[str, Any]]:
        found = await start(tmp_path / "data", *options, **environment)
        started.append(found)
        return found

    yield begin
    for process, description in started:
        for pid in [process.pid, *pids(description)] if process.returncode is None else []:
            os.kill(pid, signal.SIGKILL)
        await process.wait()


def text_of(file: str) -> str:
    return Path(file).read_text()


def is_private(file: str) -> bool:
    return Path(file).stat().st_mode & 0o077 == 0


async def caller(description: dict[str, Any]) -> BitGo:
    key = await asyncio.to_thread(Path(description["privateKeyFile"]).read_bytes)
    return BitGo(description["ingress"], load_private_key(key))


async def test_one_line_of_json_says_where_everything_is(up: Callable[..., Any]) -> None:
    process, description = await up("--ingress", "2", "--processors", "2")
    assert {
        "ingress",
        "metrics",
        "kafka",
        "postgres",
        "data",
        "enterpriseId",
        "operatorTokenFile",
        "privateKeyFile",
        "pids",
    } == description.keys()
    assert (2, 2, 4) == (
        len(description["pids"]["ingress"]),
        len(description["pids"]["processor"]),
        len(description["metrics"]),
    )
    assert len(pids(description)) == len(alive(pids(description))) == 7
    async with aiohttp.ClientSession() as session:
        for url in description["metrics"]:
            async with session.get(url) as response:
                assert "allocations_ready 1.0" in await response.text()
    with psycopg.connect(description["postgres"]) as connection:
        assert connection.execute("SELECT count(*) FROM watermark").fetchone() == (8,)
    async with await caller(description) as bitgo:
        body = reserve_body(Kind.ALLOCATION)
        assert (await bitgo.reserve(Kind.ALLOCATION, body)).status == 200
        token = text_of(description["operatorTokenFile"]).strip()
        partners = f"/api/network/v1/enterprises/{description['enterpriseId']}/partners/allocations"
        reply = await bitgo.call("GET", partners, {"Authorization": f"Bearer {token}"})
        assert [body["allocationId"]] == [each["id"] for each in reply.body["allocations"]]
    for name in ("privateKeyFile", "operatorTokenFile"):
        assert is_private(description[name])
    process.send_signal(signal.SIGINT)
    rest = await process.stdout.read()
    assert (0, b"") == (await process.wait(), rest)
    await gone(pids(description))


async def test_state_survives_a_stop_and_a_kill(up: Callable[..., Any]) -> None:
    used = ""
    bodies: list[dict[str, Any]] = []
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGINT):
        process, description = await up("--ingress", "1", "--processors", "1")
        async with await caller(description) as bitgo:
            if used:
                path = f"/bitgo/v1/allocation/{bodies[0]['allocationId']}"
                assert (await bitgo.call("GET", path, {"X-BitGo-Signature": used})).status == 401
            for body in bodies:
                assert "cleared" == (await bitgo.status(Kind.ALLOCATION, body["allocationId"])).body["status"]
            body = reserve_body(Kind.ALLOCATION)
            headers = bitgo.headers()
            used = headers["X-BitGo-Signature"]
            assert (await bitgo.call("POST", "/bitgo/v1/allocations", headers, json=body)).status == 200
            assert (await bitgo.clear(Kind.ALLOCATION, body["allocationId"])).status == 200
            bodies.append(body)
        process.send_signal(ending)
        assert (await process.wait()) == (-9 if ending is signal.SIGKILL else 0)
        await gone(pids(description))


async def test_ctrl_c_twice_in_a_row_leaves_no_process(up: Callable[..., Any]) -> None:
    process, description = await up("--ingress", "1", "--processors", "1")
    everything = pids(description)
    process.send_signal(signal.SIGINT)
    await asyncio.sleep(0.05)
    process.send_signal(signal.SIGINT)
    await process.wait()
    await gone(everything)


async def test_what_dies_is_restarted_and_two_stacks_do_not_share_a_folder(
    up: Callable[..., Any], tmp_path: Path
) -> None:
    process, description = await up("--ingress", "1", "--processors", "1")
    for pid in (*description["pids"]["ingress"], *description["pids"]["processor"]):
        os.kill(pid, signal.SIGKILL)
    async with await caller(description) as bitgo, asyncio.timeout(30):
        while True:
            try:
                if (await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))).status == 200:
                    break
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.2)
    second = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli", "up", "--data", str(tmp_path / "data"), "--port", "0", stdout=PIPE, stderr=PIPE
    )
    out, err = await asyncio.wait_for(second.communicate(), 30)
    assert (1, b"") == (second.returncode, out)
    assert b"is in use" in err
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 0


@pytest.mark.long
async def test_fewer_processors_than_before_have_all_partitions_at_once(up: Callable[..., Any]) -> None:
    process, description = await up("--ingress", "1", "--processors", "2")
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 0
    process, description = await up("--ingress", "1", "--processors", "1")
    async with await caller(description) as bitgo:
        bodies = [reserve_body(Kind.ALLOCATION) for _ in range(24)]
        replies = await asyncio.gather(*[bitgo.reserve(Kind.ALLOCATION, body) for body in bodies])
    assert [200] * 24 == [reply.status for reply in replies]
    assert "partitions_assigned" in text_of(f"{description['data']}/logs/processor-0.log")
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 0


@pytest.mark.long
async def test_settings_come_from_the_environment_too(up: Callable[..., Any]) -> None:
    process, description = await up(
        *("--ingress", "1", "--processors", "1", "--enterprise-id", "ours", "--partitions", "3"),
        INGRESS_REJECTED_AS="422",
        PROCESSOR_CURRENCIES='["ETH"]',
    )
    assert description["enterpriseId"] == "ours"
    async with await caller(description) as bitgo:
        reply = await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))
    assert (422, "unsupported_currency") == (reply.status, reply.body["rejectionReason"])
    with psycopg.connect(description["postgres"]) as connection:
        assert connection.execute("SELECT partitions FROM log_identity").fetchone() == (3,)
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["up", "--ingress", "0"], "0 is not in the range"),
        (["up", "--port", "99999"], "99999 is not in the range"),
        (["up", "--bitgo-key", "/nowhere.pem"], "does not exist"),
        (["up", "--nonsense"], "No such option"),
        (["nonsense"], "No such command"),
        (["token", "--data", "/nowhere"], "there is no key at"),
        (["demo", "--ingress", "http://127.0.0.1:1"], "--ingress needs --key"),
        (["migrate", "--postgres", "postgresql://nobody@127.0.0.1:1/x"], "no answer"),
        (["topics", "--kafka", "127.0.0.1:1"], "no answer"),
        (["capture", "/nowhere/file", "--kafka", "127.0.0.1:1"], "there is no folder /nowhere"),
        (["load", "/nowhere"], "does not exist"),
        (["dead-letters", "list", "--postgres", "postgresql://nobody@127.0.0.1:1/x"], "no answer"),
        (["dead-letters", "retry", "--postgres", "postgresql://nobody@127.0.0.1:1/x"], "name PARTITION and OFFSET"),
        (["dead-letters", "retry", "1", "--postgres", "x"], "name PARTITION and OFFSET"),
        (["ingress"], "INGRESS_POSTGRES_URL"),
        (["processor"], "PROCESSOR_INSTANCE_ID"),
    ],
    ids=lambda each: "-".join(each) if isinstance(each, list) else "",
)
async def test_a_mistake_gets_a_sentence(options: list[str], words: str) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "cli", *options, stdout=PIPE, stderr=PIPE)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode != 0
    assert b"" == out
    assert words in err.decode()
    assert "Traceback" not in err.decode()


@pytest.mark.parametrize(
    "verb",
    [
        *("", "up", "demo", "token", "keys", "ingress", "processor", "migrate", "topics", "capture", "load"),
        *("dead-letters", "dead-letters list", "dead-letters show", "dead-letters retry", "dead-letters discard"),
    ],
)
async def test_every_verb_has_help(verb: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli", *verb.split(), "--help", stdout=PIPE, stderr=PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    assert out.startswith(b"Usage: ")
