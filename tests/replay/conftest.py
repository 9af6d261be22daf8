"""Two systems on the same servers: one that is captured, and one to load into."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bitgo.client import activate_body, reserve_body
from schemas.words import Kind, Verb
from tests.support.operator import Operator, adjustment_body, fund, new_account, on
from tests.support.servers import Servers
from tests.support.system import System, running_system


@pytest.fixture
async def target(servers: Servers, template: str, tmp_path: Path) -> AsyncIterator[System]:
    """A system with five partitions, whose processor has started."""
    async with _another(servers, template, tmp_path, 5) as system:
        yield system


@pytest.fixture
async def narrow(servers: Servers, template: str, tmp_path: Path) -> AsyncIterator[System]:
    """One with a single partition: it applies in the order in which it is loaded, at any pace."""
    async with _another(servers, template, tmp_path, 1) as system:
        yield system


@pytest.fixture
async def registered(servers: Servers, template: str, tmp_path: Path) -> AsyncIterator[System]:
    """One with a single partition, whose reserves must name a connection that was activated."""
    async with _another(servers, template, tmp_path, 1, connections="registered") as system:
        yield system


@asynccontextmanager
async def _another(
    servers: Servers, template: str, folder: Path, partitions: int, **settings: str
) -> AsyncIterator[System]:
    name = f"target_{uuid.uuid4().hex}"
    servers.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    async with running_system(servers, servers.database_url(name), folder / "target", partitions) as system:
        await system.processor("target-0", **settings)
        yield system
    servers.drop(name)


async def history(system: System, pause_seconds: float = 0.0) -> None:
    """Commands of every outcome, and records that are no commands, in the log of a fresh system.

    The pause is before what needs the balance that came of what was before.
    """
    await system.processor()
    async with await system.ingress() as bitgo:
        account: dict[str, Any] = {"connectionId": str(uuid.uuid4()), "clientId": str(uuid.uuid4())}
        for n in range(4):
            funded = reserve_body(Kind.ALLOCATION, 10 + n, **account)
            await bitgo.reserve(Kind.ALLOCATION, funded)
            await bitgo.reserve(Kind.ALLOCATION, funded)
            await bitgo.clear(Kind.ALLOCATION, funded["allocationId"])
            await bitgo.release(Kind.ALLOCATION, funded["allocationId"])
        await asyncio.sleep(pause_seconds)
        taken = reserve_body(Kind.DEALLOCATION, 7, **account)
        for verb in (None, Verb.RELEASE, None, Verb.CLEAR, None):
            if verb is None:
                await bitgo.reserve(Kind.DEALLOCATION, taken)
            else:
                await bitgo.finish(Kind.DEALLOCATION, verb, taken["deallocationId"])
        await bitgo.reserve(Kind.DEALLOCATION, reserve_body(Kind.DEALLOCATION, 10**9, **account))
        await bitgo.release(Kind.ALLOCATION, str(uuid.uuid4()))
        await bitgo.clear(Kind.ALLOCATION, str(uuid.uuid4()))
    async with system.producer() as producer:
        for n in range(3):
            await producer.send_and_wait(
                system.topics.commands, b"\x00junk %d" % n, key=b"k", partition=n, headers=[("h", b"\xff")]
            )
    await system.caught_up()


async def platform_history(system: System) -> None:
    """Connections, adjustments and what BitGo asks of them, in the log of a fresh system."""
    await system.processor(connections="registered")
    async with await system.ingress() as bitgo:
        operator = Operator(system, bitgo)
        account = new_account()
        first = await operator.connected(account)
        await fund(bitgo, first, 100)
        assert 200 == (await operator.adjust(adjustment_body(first["connectionId"], {"BTC": -40, "ETH": 7}))).status
        assert 409 == (await operator.adjust(adjustment_body(first["connectionId"], {"BTC": -61}))).status
        assert 409 == (await bitgo.activate(activate_body(await operator.token(account)))).status
        hold = reserve_body(Kind.DEALLOCATION, 60, **on(first))
        assert 200 == (await bitgo.reserve(Kind.DEALLOCATION, hold)).status
        await operator.change("deactivate", first["connectionId"])
        rejected = await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION, **on(first)))
        assert "inactive_connection" == rejected.body["rejectionReason"]
        assert 200 == (await bitgo.clear(Kind.DEALLOCATION, hold["deallocationId"])).status
        assert 200 == (await operator.adjust(adjustment_body(first["connectionId"], {"ETH": -7}))).status
        await operator.connected(account)
    await system.caught_up()


@pytest.fixture
async def parking(system: System) -> System:
    await system.processor()
    return system
