"""Postgres takes no writes, or confirms none: settings of the whole server that a failover or an operator may leave."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final, LiteralString

import psycopg

from tests.checker.findings import Verdict
from tests.faults.run.administrator import administrator, setting
from tests.faults.run.stage import Stage

SELDOM: Final = 0.15
SETTLED_SECONDS: Final = 1.0
"""Commits that had begun to end before the server read its settings are seen by then."""
CANCELLED: Final = "canceling wait for synchronous replication due to user request"
TERMINATED: Final = "canceling the wait for synchronous replication and terminating connection"

_VISIBLE: Final[LiteralString] = """
    SELECT pg_postmaster_start_time()::text, array_agg(next_offset ORDER BY partition) FROM watermark
"""


async def read_only(stage: Stage, random: Random) -> float:
    async with setting(stage.postgres, "default_transaction_read_only", "on"):
        await asyncio.sleep(12 if random.random() < SELDOM else random.uniform(2, 6))
    return time.monotonic()


async def absent_standby(stage: Stage, random: Random) -> float:
    """No commit is confirmed, and none becomes visible: what the missing standby does not have must not be answered.

    Sometimes for longer than the watchdog waits.
    """
    seconds = 35 if random.random() < SELDOM else random.uniform(4, 10)
    log = _Log(stage.postgres.log, _size(stage.postgres.log))
    async with setting(stage.postgres, "synchronous_standby_names", "absent"):
        await asyncio.sleep(SETTLED_SECONDS)
        before = await _visible(stage)
        await asyncio.sleep(seconds - SETTLED_SECONDS)
        after = await _visible(stage)
        said = await asyncio.to_thread(log.new)
    _judge(stage, before, after, said)
    return time.monotonic()


@dataclass(frozen=True)
class _Log:
    """What a server has written since."""

    file: Path
    start: int

    def new(self) -> str:
        with self.file.open("rb") as file:
            file.seek(self.start)
            return file.read().decode(errors="replace")


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


async def _visible(stage: Stage) -> tuple[Any, ...] | None:
    """When the server started, and the watermarks that anybody sees; None while it does not answer."""
    try:
        async with await administrator(stage.postgres) as connection:
            return await (await connection.execute(_VISIBLE)).fetchone()
    except psycopg.OperationalError:
        return None


def _judge(stage: Stage, before: tuple[Any, ...] | None, after: tuple[Any, ...] | None, said: str) -> None:
    """A restart, or an administrator who ends connections, shows what no standby has: that is Postgres's own."""
    if cancelled := said.count(CANCELLED):
        words = f"{cancelled} commits stopped waiting for the standby, because a client cancelled them"
        stage.findings.add(Verdict.LOST, "a cancelled commit", words)
    if before is None or after is None or before[0] != after[0] or TERMINATED in said:
        return
    if before != after:
        words = f"watermarks moved without a standby from {before[1]} to {after[1]}: a failover would lose that"
        stage.findings.add(Verdict.LOST, "a commit that no standby has", words)
