"""Capturing and loading through the command, and what became of it."""

import asyncio
import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from replay.capture_file import Source, reading
from replay.captured import Captured
from replay.rewrite import Rewriter
from tests.support.cli import Ran, run
from tests.support.system import System

COLUMNS = (
    "SELECT command_id::text, subject_id::text, kind, verb, outcome, reason, status_before, version_before, "
    "status_after, version_after FROM journal WHERE outcome <> 'parked'"
)


async def capture(system: System, file: Path, *options: object) -> Ran:
    return await run("capture", file, "--kafka", system.kafka, "--prefix", system.prefix, *options)


async def load(system: System, file: Path, *options: object) -> Ran:
    return await run("load", file, "--kafka", system.kafka, "--prefix", system.prefix, *options)


def content(file: Path) -> tuple[Source, list[Captured]]:
    with reading(file) as reader:
        return reader.source, list(reader)


def journal(system: System, rewriter: Rewriter | None = None) -> Counter[tuple[Any, ...]]:
    """What became of each command, under the ids that a rewriter returns them."""
    rename = rewriter.map if rewriter else str
    return Counter(
        (rename(command_id), rename(subject_id), *rest)
        for command_id, subject_id, *rest in (tuple(row.values()) for row in system.rows(COLUMNS))
    )


def counts(said: str) -> tuple[int, ...]:
    found = re.search(r"acknowledged (\d+), not acknowledged (\d+), skipped (\d+) undecodable, not sent (\d+)", said)
    assert found, said
    return tuple(map(int, found.groups()))


async def publish_at(system: System, count: int, pause_seconds: float = 0.0) -> list[datetime]:
    """Records of a system without processors; when each was appended."""
    found = []
    async with system.producer() as producer:
        for n in range(count):
            await asyncio.sleep(pause_seconds)
            sent = await producer.send_and_wait(system.topics.commands, b"%d" % n, partition=n % 2)
            found.append(datetime.fromtimestamp(sent.timestamp / 1000, UTC))
    return found
