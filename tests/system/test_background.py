"""Background work that fails of what nobody expected: the process lives, says it, and starts it again.

A module that Python imports by itself at start lets each fail for as long as a file of its name is there.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bitgo.client import BitGo, reserve_body
from local.child import spawn
from schemas.words import Kind
from tests.support.limited_ingress import answers
from tests.support.servers import Servers
from tests.support.system import System, shared_system

BREAKING = """
import importlib, os, sys

def breaking(module, owner, name, task):
    holder = getattr(module, owner) if owner else module
    whole = getattr(holder, name)
    async def may_fail(*arguments, **named):
        if os.path.exists(os.path.join({folder!r}, task)):
            raise RuntimeError("broken for a test")
        return await whole(*arguments, **named)
    setattr(holder, name, may_fail)

if "ingress" in sys.orig_argv:
    import ingress.auth.token_replay, ingress.outcomes.following, ingress.outcomes.outcomes, aiokafka
    breaking(ingress.outcomes.following, "", "connect", "notifications")
    breaking(ingress.outcomes.outcomes, "Outcomes", "poll", "postgres")
    breaking(aiokafka, "AIOKafkaConsumer", "end_offsets", "kafka")
    breaking(ingress.auth.token_replay, "", "_prune", "pruning")
    ingress.auth.token_replay.PRUNE_EVERY_SECONDS = 0.2
if "processor" in sys.orig_argv:
    import processor.postgres.rejections, processor.relay.relay, processor.kafka.watchdog
    breaking(processor.kafka.watchdog, "Watchdog", "_look", "watchdog")
    breaking(processor.postgres.rejections, "", "_uncleared", "rejections")
    breaking(processor.relay.relay, "", "_events", "relay")
    breaking(processor.relay.relay, "", "_dead_letters", "dead letters")
"""
PROCESSES = {"notifications": "ingress-0", "pruning": "ingress-0", "postgres": "ingress-0", "kafka": "ingress-0"}


def process_of(task: str) -> str:
    return PROCESSES.get(task, "processor-0")


async def failed(system: System, task: str) -> None:
    """Until it has ended of an error that nobody expected, and was counted."""
    restarts = f'background_restarts_total{{kind="unexpected",task="{task}"}}'
    async with asyncio.timeout(15):
        while not (await system.metrics(process_of(task))).get(restarts):
            await asyncio.sleep(0.1)


async def says(system: System, process: str, status: int, part: str, task: str | None) -> None:
    """Until /readyz has this status, and names the task under a part of its document, or nowhere."""
    document: dict[str, object] = {}
    async with asyncio.timeout(15):
        while True:
            found, document = await system.readyz(process)
            named = document.get(part) or {}
            if found == status and (task in named if task else not named):  # type: ignore[operator]
                return
            await asyncio.sleep(0.1)


async def provoke(system: System, bitgo: BitGo, task: str) -> None:
    """Let the task do what is broken."""
    if task in ("notifications", "relay", "dead letters"):
        name = "allocations-ingress-listen" if task == "notifications" else "allocations-relay"
        system.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = %s AND datname = current_database()",
            name,
        )
    if task == "rejections":
        reply = await bitgo.reserve(Kind.DEALLOCATION, reserve_body(Kind.DEALLOCATION))
        assert "insufficient_balance" == reply.body["rejectionReason"]


@dataclass
class Breakable:
    """Whose tasks fail while a file of their name is in `folder`."""

    system: System
    bitgo: BitGo
    folder: Path


@pytest.fixture(scope="module")
async def breakable(
    servers: Servers, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Breakable]:
    folder = tmp_path_factory.mktemp("breakable")
    (folder / "sitecustomize.py").write_text(BREAKING.format(folder=str(folder)))
    async with shared_system(servers, template, folder, spawn) as system:
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
            await system.processor(wait=False)
            bitgo = await system.ingress(wait=False)
        for each in system.health:
            await system.ready(each)
        async with bitgo:
            yield Breakable(system, bitgo, folder)


@pytest.mark.parametrize(
    ("task", "status", "part"),
    [
        ("notifications", 200, "degraded"),
        ("pruning", 200, "degraded"),
        ("postgres", 503, "problems"),
        ("kafka", 503, "problems"),
        ("watchdog", 503, "problems"),
        ("rejections", 200, "degraded"),
        ("relay", 503, "problems"),
        ("dead letters", 503, "problems"),
    ],
)
async def test_given_an_unexpected_error_then_the_process_lives_and_starts_it_again(
    breakable: Breakable, task: str, status: int, part: str
) -> None:
    """Writes are answered throughout: by the poll without notifications, by notifications without the poll."""
    system, bitgo, process = breakable.system, breakable.bitgo, process_of(task)
    await answers(bitgo)
    (breakable.folder / task).touch()
    await provoke(system, bitgo, task)
    await failed(system, task)
    await says(system, process, status, part, task)
    await answers(bitgo)
    (breakable.folder / task).unlink()
    await says(system, process, 200, part, None)
    await answers(bitgo)
    assert [] == system.ended
