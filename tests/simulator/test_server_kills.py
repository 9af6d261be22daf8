"""BitGo's server is killed while it moves money: what it acknowledged stands, and all repeats come out right."""

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bitgo.simulator.ledger import Ledger
from schemas.words import Kind
from tests.support.bitgo_desk import Answer, Desk, settlement

KILLS = 6
CLIENTS = 4
CONNECTIONS = 3
FUNDS = 1_000_000
CUTOFF = "2026-08-11T12:00:00.000Z"

Step = Callable[[Desk], Awaitable[Answer]]


@dataclass
class Work:
    """Requests that are each repeated until answered, and what they come to."""

    steps: list[list[Step]] = field(default_factory=list)
    expected: dict[str, int] = field(default_factory=dict)
    acknowledged: int = 0


@pytest.mark.long
async def test_killed_again_and_again_it_agrees_with_itself(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    dice, file = random.Random(seed), tmp_path / "ledger"
    work = _prepare(file, dice)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        session._retry_connection = False
        for _ in range(KILLS):
            await _until_killed(file, session, work, dice)
            with Ledger(file) as ledger:
                assert [] == Desk("", ledger, session).contradictions()
        assert work.steps, "all was done before the last kill: the test needs more work"
        process, url = await _start(file)
        with Ledger(file) as ledger:
            desk = Desk(url, ledger, session)
            await _work(desk, work)
            assert [] == work.steps
            assert work.expected == {each: desk.available(each) for each in work.expected}
            assert [] == desk.contradictions()
        process.send_signal(signal.SIGINT)
        assert 0 == await process.wait()


def _prepare(file: Path, dice: random.Random) -> Work:
    """Reports of both kinds, settlements of both versions, in a random order."""
    work = Work()
    with Ledger(file) as ledger, ledger.transaction():
        desk = Desk("", ledger, None)  # type: ignore[arg-type]  # nothing is called yet
        connections = [desk.connect() for _ in range(CONNECTIONS)]
        for connection in connections:
            desk.fund(connection, FUNDS)
            work.expected[connection] = FUNDS
        for _ in range(1500):
            connection, quantity = dice.choice(connections), dice.randint(1, 9)
            dice.choice((_report, _settle_at_once, _settle_later))(desk, work, connection, quantity, dice)
    return work


def _report(desk: Desk, work: Work, connection: str, quantity: int, dice: random.Random) -> None:
    kind, outcome = dice.choice(list(Kind)), dice.choice(("cleared", "cleared", "released"))
    report = desk.report(desk.order(kind, connection, quantity), outcome)
    work.steps.append([lambda desk: desk.call("PUT", f"{kind}s", report)])
    if outcome == "cleared":
        work.expected[connection] += quantity if kind is Kind.ALLOCATION else -quantity


def _settle_at_once(_desk: Desk, work: Work, connection: str, quantity: int, dice: random.Random) -> None:
    other = dice.choice([each for each in work.expected if each != connection])
    body = json.dumps(settlement({connection: {other: {"BTC": str(quantity)}}})).encode()
    work.steps.append([lambda desk: desk.call("POST", "settlements", body)])
    work.expected[connection] += quantity
    work.expected[other] -= quantity


def _settle_later(_desk: Desk, work: Work, connection: str, quantity: int, _dice: random.Random) -> None:
    body = json.dumps(settlement({connection: {"BTC": str(-quantity)}}, cutoffAt=CUTOFF)).encode()

    async def finalize(desk: Desk) -> Answer:
        return await desk.finalize(await desk.call("POST", "v2/settlements", body))

    work.steps.append([lambda desk: desk.call("POST", "v2/settlements", body), finalize])
    work.expected[connection] -= quantity


async def _until_killed(file: Path, session: aiohttp.ClientSession, work: Work, dice: random.Random) -> None:
    process, url = await _start(file)
    with Ledger(file) as ledger:
        working = asyncio.create_task(_work(Desk(url, ledger, session), work))
        enough = work.acknowledged + dice.randint(20, 120)
        while work.acknowledged < enough and not working.done():
            await asyncio.sleep(dice.random() / 200)
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
        await working


async def _work(desk: Desk, work: Work) -> None:
    """Several at once, until all is done or the server is gone."""
    async with asyncio.TaskGroup() as tasks:
        for _ in range(CLIENTS):
            tasks.create_task(_client(desk, work))


async def _client(desk: Desk, work: Work) -> None:
    while work.steps:
        steps = work.steps.pop()
        try:
            while steps:
                answer = await steps[0](desk)
                assert answer.status == 200 or _is_done(answer), (answer.status, answer.body)
                del steps[0]
                work.acknowledged += 1
        except (aiohttp.ClientError, TimeoutError):
            work.steps.append(steps)
            return


def _is_done(answer: Answer) -> bool:
    """A settlement whose first finalizing was answered by a kill is final already."""
    return answer.status == 409 and answer.body == {"error": "the settlement is completed"}


async def _start(file: Path) -> tuple[asyncio.subprocess.Process, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.bitgo_process", str(file), "0", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    ready: dict[str, Any] = json.loads(await process.stdout.readline())
    return process, str(ready["url"])
