"""The product is broken on purpose, in five ways, and each is found with its verdict. Whole, nothing is found in it."""

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import pytest

from tests.checker import show
from tests.checker.check import check
from tests.checker.findings import Findings, Verdict
from tests.checker.store import Store
from tests.faults.run.afterwards import caught_up, loaded
from tests.faults.run.caller import Caller
from tests.faults.run.history import History
from tests.faults.run.stories import LIMIT, LIMITED, Stories, World
from tests.support.system import System

SECONDS = 5
CLIENTS = 8
BREAKS = Path(__file__).parent / "breaks"


async def play(system: System, folder: Path) -> None:
    """Traffic on one ingress and one processor, without any fault."""
    random = Random(1)
    await system.processor(limits=f'{{"{LIMITED}": "{LIMIT}"}}')
    over, world = asyncio.Event(), World(random)
    with History(folder / "history.jsonl", system.partitions) as history:
        async with AsyncExitStack() as exits, asyncio.TaskGroup() as tasks:
            bitgo = await exits.enter_async_context(await system.ingress(answer_timeout_seconds="1"))
            for number in range(CLIENTS):
                caller = Caller(number, bitgo, history, Random(random.random()))
                tasks.create_task(Stories(caller, world).tell(over))
            await asyncio.sleep(SECONDS)
            over.set()


async def played(system: System, folder: Path) -> Findings:
    await play(system, folder)
    servers = (system.kafka, system.database_url, system.topics, system.partitions)
    await caught_up(*servers)
    store = Store(folder / "check.sqlite")
    await loaded(store, folder / "history.jsonl", *servers)
    findings = Findings()
    check(store, findings, limits={LIMITED: LIMIT})
    print(f"{store.count('call')} calls, {store.count('record')} commands; {findings.line()}")
    print("\n".join(show.lines(findings, store)))
    return findings


async def test_nothing_is_found_when_nothing_is_broken(fragile: System, tmp_path: Path) -> None:
    assert (await played(fragile, tmp_path)).is_clean


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("drop a record", Verdict.LOST),
        ("apply twice", Verdict.TWICE),
        ("read stale", Verdict.CONTRADICTION),
        ("skip an event", Verdict.EVENT),
        ("forget a jti", Verdict.TOKEN),
    ],
)
async def test_what_is_broken_is_found(
    fragile: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, verdict: Verdict
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(BREAKS), *filter(None, [os.environ.get("PYTHONPATH")])]))
    monkeypatch.setenv("BREAK", name)
    assert (await played(fragile, tmp_path)).count(verdict) > 0
