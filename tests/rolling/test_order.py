"""In which order a version with other commands is brought in: processors first, and ingresses first on the way back."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bitgo.client import BitGo, Reply, reserve_body
from local.child import spawn
from schemas.words import Kind
from tests.rolling.trees import head, with_another_command
from tests.support.servers import Servers
from tests.support.system import System, running_system

pytestmark = pytest.mark.long


@pytest.fixture
async def system(servers: Servers, database_url: str, tmp_path: Path) -> AsyncIterator[System]:
    """Whose processes are programs of a tree."""
    async with running_system(servers, database_url, tmp_path / "system", spawn=spawn) as started:
        yield started


async def ingress(system: System, tree: Path) -> BitGo:
    system.tree = tree
    return await system.ingress(answer_timeout_seconds="3")


async def processor(system: System, tree: Path) -> None:
    system.tree = tree
    if "processor-0" in system.supervisor.pids():
        await system.supervisor.remove("processor-0")
    await system.processor()


async def halted(system: System) -> str:
    async with asyncio.timeout(15):
        while True:
            problems = (await system.readyz("processor-0"))[1].get("problems", {})
            if found := [words for part, words in problems.items() if part.startswith("partition")]:
                return str(found[0])
            await asyncio.sleep(0.1)


async def test_given_processors_first_then_every_combination_answers(system: System, tmp_path: Path) -> None:
    older, newer = head().folder, with_another_command(tmp_path / "newer").folder
    bodies = [reserve_body(Kind.ALLOCATION) for _ in range(3)]
    for body, (decides, answers) in zip(bodies, ((newer, older), (newer, newer), (older, older)), strict=True):
        await processor(system, decides)
        async with await ingress(system, answers) as bitgo:
            assert (200, "reserved") == _said(await bitgo.reserve(Kind.ALLOCATION, body))
            for earlier in bodies[: bodies.index(body)]:
                assert (200, "reserved") == _said(await bitgo.reserve(Kind.ALLOCATION, earlier))
        await system.supervisor.remove("ingress-0")
    assert [] == system.rows("SELECT 1 FROM dead_letter")


async def test_given_ingresses_first_then_the_older_processor_halts_and_says_so_and_nothing_is_lost(
    system: System, tmp_path: Path
) -> None:
    older, newer = head().folder, with_another_command(tmp_path / "newer").folder
    body = reserve_body(Kind.ALLOCATION)
    await processor(system, older)
    async with await ingress(system, newer) as bitgo:
        reply = await bitgo.reserve(Kind.ALLOCATION, body)
        assert (503, "outcome_pending") == (reply.status, reply.body["code"])
        assert "schema version 2; this processor reads up to 1" in await halted(system)
        assert [] == system.rows("SELECT 1 FROM journal") + system.rows("SELECT 1 FROM dead_letter")
        await processor(system, newer)
        assert (200, "reserved") == _said(await bitgo.reserve(Kind.ALLOCATION, body))
    outcomes = [row["outcome"] for row in system.rows('SELECT outcome FROM journal ORDER BY "offset"')]
    assert ["applied", "repeated"] == outcomes


def _said(reply: Reply) -> tuple[int, str | None]:
    return reply.status, reply.body.get("status")
