"""A full topic and no processor; then the processor comes. And what all that has left on the disk."""

import asyncio
import random
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import aiohttp
import psycopg
from aiokafka import AIOKafkaProducer

from bench.growth.disk import kafka_bytes, postgres_bytes
from bench.machine import facts
from bench.pairs import ACCOUNTS
from bench.procfs import resident_bytes
from bench.progress import progress
from bench.stack import Shape, Stack, running
from local.archive import ensure_archive
from local.jars import ensure_jars
from local.kafka import Kafka
from local.report import reporter
from local.supervisor import Supervisor
from schemas.commands import Amount, ClearAllocation, Command, Edition, ReserveAllocation
from schemas.records import encode_command, key_of
from schemas.topics import Topics, partition_of
from schemas.words import AfterFinal

PARTITIONS: Final = 8
POLL_SECONDS: Final = 0.2
DEADLINE: Final = timedelta(seconds=15)
PUBLISHED: Final = f'processor_relay_records_total{{topic="{Topics("").events}"}} '


async def measure_backlog(data: Path, pairs: int, seconds: float) -> dict[str, Any]:
    """Make a stack, stop it, fill its topic, start it again and watch."""
    async with running(Shape(), data):
        pass
    published = await _publish(data, pairs)
    started = time.perf_counter()
    async with running(Shape(), data) as stack:
        up = time.perf_counter() - started
        curve = await _watch(stack, 2 * pairs, seconds)
        return {
            "machine": facts(stack.postgres),
            "commands": 2 * pairs,
            "published_per_second": round(2 * pairs / published),
            "up_seconds": round(up, 2),
            "curve": curve,
            "commands_per_second": round(rate(curve, "applied")),
            "events_per_second": round(rate(curve, "published")),
            "allocations": curve[-1]["applied"] // 2,
            "kafka_bytes": kafka_bytes(data),
            "postgres_bytes": postgres_bytes(stack.postgres),
        }


async def _publish(data: Path, pairs: int) -> float:
    """Kafka alone, and the commands as the ingress would have published them; gives how long that took."""
    report = reporter()
    async with AsyncExitStack() as stack:
        jars = await asyncio.to_thread(ensure_jars, report)
        kafka = Kafka(data, jars, report, archive=await ensure_archive(jars, report))
        supervisor = await stack.enter_async_context(Supervisor(report))
        await kafka.prepare()
        stack.callback(kafka.close)
        supervisor.start(kafka.child())
        await kafka.wait_ready()
        producer = AIOKafkaProducer(
            bootstrap_servers=kafka.bootstrap, acks="all", enable_idempotence=True, linger_ms=5, max_batch_size=262_144
        )
        async with producer:
            started = time.perf_counter()
            await _send(producer, pairs)
            await producer.flush()
            return time.perf_counter() - started


async def _send(producer: AIOKafkaProducer, pairs: int) -> None:
    accounts = [str(uuid4()) for _ in range(ACCOUNTS)]
    topic = Topics("").commands
    with progress(pairs, "filling the topic") as done:
        for number in range(pairs):
            for command in _pair(random.choice(accounts)):
                key = key_of(command.subject_id)
                place = partition_of(key, PARTITIONS)
                await producer.send(topic, encode_command(command), key=key, partition=place, headers=_headers())
            done(f"{number} pairs")


def _headers() -> list[tuple[str, bytes]]:
    return [("traceparent", f"00-{random.getrandbits(128):032x}-00f067aa0ba902b7-01".encode())]


def _pair(account: str) -> tuple[Command, Command]:
    now = datetime.now(UTC)
    stamps = {"allocation_id": _id(), "received_at": now, "deadline": now + DEADLINE}
    reserve = ReserveAllocation(
        **stamps,
        command_id=_id(),
        amount=Amount(currency="BTC", quantity="5"),
        client_id=_id(),
        connection_id=account,
        partners_connection_id="account-1",
        partner_allocation_id=_id(),
        partner_client_id="client-1",
        edition=Edition(),
        after_final=AfterFinal.CONFLICT,
    )
    return reserve, ClearAllocation(**stamps, command_id=_id())


def _id() -> str:
    return str(UUID(int=random.getrandbits(128), version=4))


async def _watch(stack: Stack, commands: int, seconds: float) -> list[dict[str, Any]]:
    """How many commands are applied, how many of their events published, and what the processes hold in memory, until
    all are or time is up.
    """
    curve: list[dict[str, Any]] = []
    started = time.perf_counter()
    async with (
        await psycopg.AsyncConnection.connect(stack.postgres, autocommit=True) as connection,
        aiohttp.ClientSession() as session,
    ):
        while not curve or (curve[-1]["published"] < commands and curve[-1]["seconds"] < seconds):
            cursor = await connection.execute("SELECT sum(next_offset)::bigint FROM watermark")
            (applied,) = await cursor.fetchone() or (0,)
            published = sum([await _published(session, url) for url in stack.description["metrics"]])
            point = {"seconds": round(time.perf_counter() - started, 2), "applied": applied, "published": published}
            curve.append(point | {"resident_bytes": resident_bytes(stack.pids())})
            await asyncio.sleep(POLL_SECONDS)
    return curve


async def _published(session: aiohttp.ClientSession, url: str) -> int:
    async with session.get(url) as response:
        lines = (await response.text()).splitlines()
    return sum(int(float(line.removeprefix(PUBLISHED))) for line in lines if line.startswith(PUBLISHED))


def rate(curve: list[dict[str, Any]], what: str) -> float:
    """So many a second until there were no more: what was done before `up` was ready is not counted."""
    first, last = curve[0], next(point for point in curve if point[what] == curve[-1][what])
    return float((last[what] - first[what]) / (last["seconds"] - first["seconds"]))
