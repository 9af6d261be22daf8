"""When the clients are done: wait until the tables and the events have everything, then check all of it."""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psycopg
from aiokafka import AIOKafkaConsumer, TopicPartition

from local.child import tail
from schemas.topics import Topics
from tests.checker.findings import Findings, Verdict
from tests.checker.load import consumer, load_history, load_tables, load_topics
from tests.checker.store import Store
from tests.faults.run.stage import ALLOCATIONS, Stage

CAUGHT_UP_SECONDS: Final = 60
SILENT_SECONDS: Final = 3.0
ANSWERS: Final = (
    "SELECT coalesce(word, status, 'no answer') AS said, count(*) FROM call GROUP BY said ORDER BY count(*) DESC"
)


async def caught_up(kafka: str, postgres_url: str, topics: Topics, partitions: int) -> None:
    """Until the log is applied and no event comes any more; what is missing then, the check will tell."""
    commands = [TopicPartition(topics.commands, partition) for partition in range(partitions)]
    events = [TopicPartition(topics.events, partition) for partition in range(partitions)]
    try:
        async with asyncio.timeout(CAUGHT_UP_SECONDS), consumer(kafka, "read_uncommitted") as log:
            while not await _applied(log, commands, await asyncio.to_thread(_watermarks, postgres_url)):
                await asyncio.sleep(0.2)
        async with asyncio.timeout(CAUGHT_UP_SECONDS), consumer(kafka, "read_committed") as published:
            before: list[int] = []
            while (now := list((await published.end_offsets(events)).values())) != before:
                before = now
                await asyncio.sleep(SILENT_SECONDS)
    except TimeoutError:
        print("the log was not applied to its end", file=sys.stderr)


async def _applied(log: AIOKafkaConsumer, where: list[TopicPartition], watermarks: Sequence[int]) -> bool:
    """Whether no record is left; markers of foreign transactions may be."""
    ends = await log.end_offsets(where)
    left = [each for each, mark in zip(where, watermarks, strict=True) if mark < ends[each]]
    log.assign(left)
    for each in left:
        log.seek(each, watermarks[each.partition])
    while any([await log.position(each) < ends[each] for each in left]):
        if await log.getmany(timeout_ms=200):
            return False
    return True


def _watermarks(postgres_url: str) -> list[int]:
    with psycopg.connect(postgres_url) as connection:
        return [row[0] for row in connection.execute("SELECT next_offset FROM watermark ORDER BY partition")]


async def loaded(store: Store, history: Path, kafka: str, postgres_url: str, topics: Topics, partitions: int) -> None:
    load_history(store, history)
    await load_topics(store, kafka, topics.commands, topics.events, topics.dead_letters, partitions)
    load_tables(store, postgres_url)


async def verified(on: Stage, findings: Findings) -> str:
    """What `allocations verify` says of it."""
    servers = {"KAFKA_BOOTSTRAP_SERVERS": on.kafka.bootstrap, "POSTGRES_URL": on.postgres.url}
    status, out = await _output(ALLOCATIONS, "verify", **{f"PROCESSOR_{key}": each for key, each in servers.items()})
    if status != 0:
        last = out.decode(errors="replace").strip().splitlines()[-5:]
        findings.add(Verdict.VERIFY, "allocations verify", f"status {status}: {' / '.join(last)}")
    return f"`allocations verify` ended with status {status}"


async def _output(*argv: str, **environment: str) -> tuple[int, bytes]:
    pipe, merged = asyncio.subprocess.PIPE, asyncio.subprocess.STDOUT
    process = await asyncio.create_subprocess_exec(*argv, stdout=pipe, stderr=merged, env={**os.environ, **environment})
    out, _ = await process.communicate()
    return process.returncode or 0, out


def barked(logs: Path, findings: Findings) -> None:
    """The watchdog is for what nobody foresaw: nothing that is broken here may need it."""
    for log in sorted(logs.glob("processor-*.log")):
        with log.open(errors="replace") as lines:
            times = sum("StalledError" in line for line in lines)
        if times:
            findings.add(Verdict.VERIFY, log.stem, f"the watchdog ended it {times} times")


def given_up(log: Path, findings: Findings) -> None:
    """A process that `up` does not restart has refused to run."""
    for line in tail(log, 2000):
        if "is not restarted" in line:
            findings.add(Verdict.VERIFY, "allocations up", line.strip())
