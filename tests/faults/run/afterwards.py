"""When the clients are done: wait until the tables and the events have everything, then check all of it."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

import psycopg
from aiokafka import AIOKafkaConsumer, TopicPartition

from local.child import tail
from schemas.topics import Topics
from tests.checker.findings import Findings, Verdict
from tests.checker.load import load_history, load_tables, load_topics
from tests.checker.store import Store
from tests.faults.run.stage import ALLOCATIONS, Stage

CAUGHT_UP_SECONDS: Final = 60
SILENT_SECONDS: Final = 3.0
ANSWERS: Final = (
    "SELECT coalesce(word, status, 'no answer') AS said, count(*) FROM call GROUP BY said ORDER BY count(*) DESC"
)


async def caught_up(kafka: str, postgres_url: str, topics: Topics, partitions: int) -> None:
    """Until the log is applied and no event comes any more; what is missing then, the check will tell."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False, isolation_level="read_uncommitted")
    await consumer.start()
    try:
        async with asyncio.timeout(CAUGHT_UP_SECONDS):
            while await _ends(consumer, topics.commands, partitions) != await asyncio.to_thread(
                _watermarks, postgres_url
            ):
                await asyncio.sleep(0.2)
        before: list[int] = []
        while (now := await _ends(consumer, topics.events, partitions)) != before:
            before = now
            await asyncio.sleep(SILENT_SECONDS)
    except TimeoutError:
        print("the log was not applied to its end", file=sys.stderr)
    finally:
        await consumer.stop()


async def _ends(consumer: AIOKafkaConsumer, topic: str, partitions: int) -> list[int]:
    where = [TopicPartition(topic, partition) for partition in range(partitions)]
    ends = await consumer.end_offsets(where)
    return [ends[each] for each in where]


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


def given_up(log: Path, findings: Findings) -> None:
    """A process that `up` does not restart has refused to run."""
    for line in tail(log, 2000):
        if "is not restarted" in line:
            findings.add(Verdict.VERIFY, "allocations up", line.strip())
