"""An ingress behind a balancer: what it says of itself and its connections, and how it leaves."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from bitgo.client import reserve_body
from schemas.words import Kind
from tests.support.own_postgres import own_postgres
from tests.support.servers import Servers
from tests.support.system import System, running_system, shared_system


@pytest.fixture(scope="module")
async def system(servers: Servers, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with shared_system(servers, template, tmp_path_factory.mktemp("door")) as started:
        await started.processor()
        yield started


async def test_callers_see_the_part_and_operators_the_words(servers: Servers, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        postgres = await stack.enter_async_context(own_postgres(tmp_path / "own"))
        address = postgres.url.rpartition("@")[2].partition("/")[0]
        async with running_system(servers, postgres.url, tmp_path) as system:
            await system.processor()
            await system.ingress()
            await stack.aclose()
            async with asyncio.timeout(30):
                while "postgres" not in (await system.readyz("ingress-0"))[1].get("problems", {}):
                    await asyncio.sleep(0.1)
            async with aiohttp.ClientSession() as session, session.get(f"{system.urls['ingress-0']}/readyz") as seen:
                document = await seen.json()
                assert 503 == seen.status
            words = json.dumps((await system.readyz("ingress-0"))[1])
    assert address.partition(":")[2] in words
    assert "postgres" in document["problems"]
    assert {"status", "problems", "degraded"} >= document.keys()
    for each in document["problems"] + document.get("degraded", []):
        assert each.isalpha(), each


@dataclass
class Balancer:
    """Asks /readyz ten times a second, and sends a request on a connection of its own while that says 200."""

    url: str
    statuses: list[int] = field(default_factory=list)
    closing: list[str] = field(default_factory=list)
    """What answers said of their connection once the process was asked to stop."""
    is_sending: bool = True

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._look())
            for _ in range(4):
                tasks.create_task(self._send())

    async def _look(self) -> None:
        while self.is_sending:
            async with aiohttp.ClientSession() as session, session.get(f"{self.url}/readyz") as seen:
                self.is_sending = seen.status == 200
                if not self.is_sending:
                    self.closing.append(seen.headers["Connection"])
            await asyncio.sleep(0.1)

    async def _send(self) -> None:
        while self.is_sending:
            async with aiohttp.ClientSession() as session, session.get(f"{self.url}/openapi.json") as answer:
                await answer.read()
                self.statuses.append(answer.status)


async def test_a_stop_refuses_nobody_who_goes_by_readyz(system: System) -> None:
    async with await system.ingress("leaving", drain_seconds="3") as bitgo:
        balancer = Balancer(system.urls["leaving"])
        sending = asyncio.create_task(balancer.run())
        await asyncio.sleep(0.5)
        assert 200 == (await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))).status
        leaving = asyncio.create_task(system.supervisor.remove("leaving"))
        await sending
        late = await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))
        assert (200, "close") == (late.status, late.headers["Connection"])
        assert "stopping" in (await system.readyz("leaving"))[1]["problems"]
        await leaving
    assert ("leaving", 0) == system.ended[-1]
    assert ["close"] == balancer.closing
    assert {200} == set(balancer.statuses)


async def test_without_a_drain_time_a_stop_takes_none(system: System) -> None:
    await system.ingress("quick")
    system.supervisor.signal("quick", signal.SIGTERM)
    async with asyncio.timeout(5):
        while ("quick", 0) not in system.ended:
            await asyncio.sleep(0.05)


async def raw(system: System, name: str, request: str) -> str:
    port = int(system.urls[name].rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
    body = (await reader.readexactly(length)).decode()
    writer.close()
    return head + body


async def test_answers_announce_how_long_their_connection_stays(system: System) -> None:
    await system.ingress("idle", idle_seconds="3.9")
    for path in ("/livez", "/nowhere", "/bitgo/v1/allocation/x"):
        answer = await raw(system, "idle", f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
        assert "\r\nKeep-Alive: timeout=2\r\n" in answer
        assert "\r\nConnection: keep-alive\r\n" in answer
    for head in ("HTTP/1.1\r\nHost: a\r\nConnection: close", "HTTP/1.0"):
        answer = await raw(system, "idle", f"GET /livez {head}\r\n\r\n")
        assert "\r\nConnection: close\r\n" in answer
        assert "Keep-Alive" not in answer


@pytest.mark.parametrize("path", ["/bitgo/v1/allocations", "/nowhere", "/livez"])
async def test_an_unknown_expectation_is_answered_logged_and_counted(system: System, path: str) -> None:
    if "expecting" not in system.supervisor.pids():
        await system.ingress("expecting")
    request = f"POST {path} HTTP/1.1\r\nHost: a\r\nExpect: the-unexpected\r\nContent-Length: 0\r\n\r\n"
    answer = await raw(system, "expecting", request)
    assert answer.startswith("HTTP/1.1 417 ")
    assert "application/problem+json" in answer
    assert '"code": "unknown_expectation"' in answer
    assert "the-unexpected" not in answer
    counted = [name for name in await system.metrics("expecting") if 'code="unknown_expectation"' in name]
    assert any(name.startswith("ingress_requests_total") for name in counted)
    assert '"code":"unknown_expectation"' in system.log("expecting").read_text()
