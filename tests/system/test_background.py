"""Background work of an ingress that fails of what nobody expected: the process lives, says it, and starts it again.

A module that Python imports by itself at start lets each fail for as long as a file of its name is there.
"""

import asyncio
import os
from pathlib import Path

import pytest

from tests.support.siege import answers
from tests.support.system import System

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
    import ingress.claims, ingress.following, ingress.outcomes, aiokafka
    breaking(ingress.following, "", "connect", "notifications")
    breaking(ingress.outcomes, "Outcomes", "poll", "postgres")
    breaking(aiokafka, "AIOKafkaConsumer", "end_offsets", "kafka")
    breaking(ingress.claims, "", "_prune", "pruning")
    ingress.claims.PRUNE_EVERY_SECONDS = 0.2
"""


async def failed(system: System, task: str) -> None:
    """Until it has ended of an error that nobody expected, and was counted."""
    restarts = f'background_restarts_total{{kind="unexpected",task="{task}"}}'
    async with asyncio.timeout(15):
        while not (await system.metrics("ingress-0")).get(restarts):
            await asyncio.sleep(0.1)


async def says(system: System, status: int, part: str, task: str | None) -> None:
    """Until /readyz has this status, and names the task under a part of its document, or nowhere."""
    document: dict[str, object] = {}
    async with asyncio.timeout(15):
        while True:
            found, document = await system.readyz("ingress-0")
            named = document.get(part) or {}
            if found == status and (task in named if task else not named):  # type: ignore[operator]
                return
            await asyncio.sleep(0.1)


async def lose_the_listener(system: System) -> None:
    system.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'allocations-ingress-listen' AND datname = current_database()"
    )


@pytest.mark.parametrize(
    ("task", "status", "part"),
    [
        ("notifications", 200, "degraded"),
        ("pruning", 200, "degraded"),
        ("postgres", 503, "problems"),
        ("kafka", 503, "problems"),
    ],
)
async def test_given_an_unexpected_error_then_the_process_lives_and_starts_it_again(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str, status: int, part: str
) -> None:
    """Writes are answered throughout: by the poll without notifications, by notifications without the poll."""
    (tmp_path / "sitecustomize.py").write_text(BREAKING.format(folder=str(tmp_path)))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    await system.processor()
    async with await system.ingress() as bitgo:
        await answers(bitgo)
        before = system.supervisor.pids()["ingress-0"]
        (tmp_path / task).touch()
        if task == "notifications":
            await lose_the_listener(system)
        await failed(system, task)
        await says(system, status, part, task)
        await answers(bitgo)
        (tmp_path / task).unlink()
        await says(system, 200, part, None)
        await answers(bitgo)
        assert before == system.supervisor.pids()["ingress-0"]
        assert [] == system.ended
