"""Releases what BitGo forgot: a command on the log like any other, never a clock inside the machine.

Off unless `PROCESSOR_RESERVE_EXPIRES_AFTER_SECONDS` is set: the contract says that a reservation never expires by
itself. Where it is set, a reservation older than that, by the time of its record, is released by a command with the
cause `expiry`. Whichever stands first in the log wins, that command or BitGo's clear; a clear that comes later is told
`already_released`. A copy of the command changes nothing, so it does not matter who sends it: one process at a time
looks, the holder of an advisory lock. What it has asked for is asked again only after RETRY_SECONDS, so that a
partition that stands still neither fills the log with copies nor keeps the reservations behind its own waiting.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, LiteralString
from uuid import uuid4

from aiokafka import AIOKafkaProducer
from aiokafka.structs import RecordMetadata
from prometheus_client import Counter

from processor.settings import ProcessorSettings
from schemas.commands import Release, ReleaseAllocation, ReleaseDeallocation
from schemas.records import encode_command, key_of
from schemas.topics import partition_of
from schemas.words import Kind
from service.health import Health
from service.kafka import close_producer
from service.logs import logger
from service.postgres import KEYED, Connection, connect
from service.sql import statements

TASK: Final = "expiry"
LOOK_SECONDS: Final = 5.0
RELEASES_AT_ONCE: Final = 100
DEADLINE_SECONDS: Final = 15
RETRY_SECONDS: Final = 60.0
"""Longer than the deadline: until then the first command is applied, or has expired, or waits."""
LIMITS: Final = {"idle_session_timeout": "30s"}
"""A suspended process loses its lock."""

EXPIRED: Final = Counter(
    "processor_reserves_expired", "Releases published for reservations that BitGo forgot", ["kind"]
)
RELEASES: Final[dict[Kind, type[Release]]] = {
    command.kind: command for command in (ReleaseAllocation, ReleaseDeallocation)
}

_LOCK: Final[LiteralString] = "SELECT pg_try_advisory_lock(hashtext(%s))"
_SQL: Final = statements("processor.postgres")
_log = logger("expiry")


class Expiry:
    def __init__(self, settings: ProcessorSettings, partitions: int, after_seconds: float, health: Health) -> None:
        self._settings = settings
        self._partitions = partitions
        self._after = timedelta(seconds=after_seconds)
        self._health = health
        self._asked: dict[str, float] = {}
        """When a release was published for an id; of the last RETRY_SECONDS, and so some thousands at most."""

    async def run(self) -> None:
        """Look whenever this process holds the lock, until cancelled. Raises psycopg.Error and KafkaError."""
        async with await connect(self._settings, "allocations-expiry", KEYED | LIMITS) as connection:
            self._health.well(TASK)
            while not await self._try_lock(connection):  # noqa: ASYNC110 - Postgres tells nobody that a lock is free
                await asyncio.sleep(LOOK_SECONDS)
            producer = AIOKafkaProducer(**self._settings.kafka_options(), acks="all", enable_idempotence=True)
            await producer.start()
            try:
                while True:
                    released = await self._release(connection, producer)
                    await asyncio.sleep(LOOK_SECONDS if released < RELEASES_AT_ONCE else LOOK_SECONDS / 10)
            finally:
                await close_producer(producer)

    async def _try_lock(self, connection: Connection) -> bool:
        row = await (await connection.execute(_LOCK, (f"expiry {self._settings.topics.commands}",))).fetchone()
        return bool(row and row[0])

    async def _release(self, connection: Connection, producer: AIOKafkaProducer) -> int:
        """Publish a release for the oldest reservations that are too old and not asked for yet; returns how many."""
        now, asked_at = time.monotonic(), datetime.now(UTC)
        self._asked = {each: at for each, at in self._asked.items() if now - at < RETRY_SECONDS}
        wanted = {"before": asked_at - self._after, "asked": list(self._asked), "limit": RELEASES_AT_ONCE}
        rows: Sequence[tuple[str, str]] = await (await connection.execute(_SQL["forgotten"], wanted)).fetchall()
        commands = [_release_of(Kind(kind), allocation_id, asked_at) for kind, allocation_id in rows]
        self._asked |= {command.allocation_id: now for command in commands}
        async with asyncio.timeout(DEADLINE_SECONDS):
            await asyncio.gather(*[await self._send(producer, command) for command in commands])
        for command in commands:
            EXPIRED.labels(command.kind).inc()
            _log.info("reservation_expired", allocation_id=command.allocation_id, command_id=command.command_id)
        return len(commands)

    async def _send(self, producer: AIOKafkaProducer, command: Release) -> "asyncio.Future[RecordMetadata]":
        key = key_of(command.allocation_id)
        partition = partition_of(key, self._partitions)
        acknowledged: asyncio.Future[RecordMetadata] = await producer.send(
            self._settings.topics.commands, encode_command(command), key=key, partition=partition
        )
        return acknowledged


def _release_of(kind: Kind, allocation_id: str, asked_at: datetime) -> Release:
    """Received when the reservation was looked up: one that was made again since then is not released (decision 13)."""
    return RELEASES[kind](
        command_id=str(uuid4()),
        allocation_id=allocation_id,
        received_at=asked_at,
        deadline=asked_at + timedelta(seconds=DEADLINE_SECONDS),
        cause="expiry",
    )
