"""Ends the process when there is lag and no progress although Kafka and Postgres answer (decision 14).

It also publishes what it reads: the lag as a metric, group offsets for lag tools, and the last hash of each
partition's journal in /readyz (decision 3).
"""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, LiteralString

from aiokafka import AIOKafkaConsumer, TopicPartition

from processor import metrics
from processor.committed import Committed
from processor.domain.journal import FIRST_HASH
from processor.kafka.batcher import Batcher
from processor.kafka.transport import App
from processor.settings import ProcessorSettings
from service.errors import StalledError
from service.health import Health
from service.kafka import commands_reader
from service.logs import logger
from service.postgres import Connection, connect
from service.sql import statements

LOOK_SECONDS: Final = 1.0
ANSWER_SECONDS: Final = 3.0
GROUP_OFFSETS_EVERY: Final = 5

_WATERMARKS: Final[LiteralString] = "SELECT partition, next_offset, encode(hash, 'hex') FROM watermark"
_SQL: Final = statements("processor.postgres")
_log = logger("processor")


def heads(rows: Iterable[Sequence[Any]]) -> dict[str, dict[str, Any]]:
    """The last offset of each partition's journal and its row's hash, to be kept outside this system (decision 3)."""
    return {
        str(partition): {"offset": next_offset - 1, "hash": digest}
        for partition, next_offset, digest in sorted(rows, key=lambda row: row[0])
        if digest != FIRST_HASH.hex()
    }


class Watchdog:
    def __init__(
        self, settings: ProcessorSettings, app: App, batcher: Batcher, written: Committed, health: Health
    ) -> None:
        self._health = health
        self._settings = settings
        self._app = app
        self._batcher = batcher
        self._written = written
        self._fallen: dict[int, int] = {}
        self._watermarks: Mapping[int, int] = {}
        self._moved_at = time.monotonic()

    async def run(self) -> None:
        """Check once a second. Raises StalledError; after any other error it is to be started again."""
        self._moved_at = time.monotonic()
        async with (
            await connect(self._settings, "allocations-watchdog") as connection,
            commands_reader(self._settings) as consumer,
        ):
            self._health.well("watchdog")
            await self._look_often(connection, consumer)

    async def _look_often(self, connection: Connection, consumer: AIOKafkaConsumer) -> None:
        looks = 0
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._check_stalled(await self._look_in_time(connection, consumer))
            looks += 1
            if looks % GROUP_OFFSETS_EVERY == 0:
                await self._app.write_group_offsets(self._watermarks)
                await _count_dead_letters(connection)

    async def _look_in_time(self, connection: Connection, consumer: AIOKafkaConsumer) -> dict[int, int]:
        """Check, and say so in /readyz while there is no answer."""
        look = asyncio.create_task(self._look(connection, consumer))
        try:
            if not (await asyncio.wait({look}, timeout=ANSWER_SECONDS))[0]:
                self._health.problem("servers", "Postgres or Kafka does not answer")
                await asyncio.wait({look})
                self._moved_at = time.monotonic()
        finally:
            look.cancel()
        self._health.well("servers")
        return look.result()

    async def _look(self, connection: Connection, consumer: AIOKafkaConsumer) -> dict[int, int]:
        """Lag in records, by partition, of the assigned partitions that are not halted."""
        assigned, written = self._app.assigned(), self._written.next_offsets()
        rows = await (await connection.execute(_WATERMARKS)).fetchall()
        self._health.notes["heads"] = heads(rows)
        await self._excuse_commits(connection)
        watermarks = {row[0]: row[1] for row in rows if row[0] in assigned}
        if watermarks != self._watermarks:
            self._watermarks, self._moved_at = watermarks, time.monotonic()
        self._read_lost_again(watermarks, written)
        where = [TopicPartition(self._settings.topics.commands, partition) for partition in watermarks]
        ends = await consumer.end_offsets(where) if where else {}
        lag = {each.partition: max(0, end - watermarks[each.partition]) for each, end in ends.items()}
        metrics.LAG.clear()
        for partition, records in lag.items():
            metrics.LAG.labels(partition).set(records)
        return {partition: records for partition, records in lag.items() if partition not in self._batcher.halts}

    def _read_lost_again(self, watermarks: Mapping[int, int], written: Mapping[int, int]) -> None:
        """A failover may have taken commits with it (record 0024). Their records were read, and would not come again
        before the next one of their partition shows the gap.
        """
        for partition, next_offset in watermarks.items():
            if next_offset >= written.get(partition, 0):
                self._fallen.pop(partition, None)
                continue
            before, self._fallen[partition] = self._fallen.get(partition), next_offset
            if before is None or next_offset < before:
                _log.error("commits_lost", partition=partition, next_offset=next_offset, written=written[partition])
                self._batcher.read_again(partition)

    async def _excuse_commits(self, connection: Connection) -> None:
        """A commit may wait for a synchronous standby for any time: that is not a stall."""
        row = await (await connection.execute(_SQL["commits_waiting"])).fetchone()
        if row and row[0]:
            self._moved_at = time.monotonic()
            self._health.problem(
                "standby",
                f"{row[0]} commits wait for a synchronous standby: bring it back, or take it out of "
                "synchronous_standby_names. Nothing is lost; do not cancel what waits",
            )
        else:
            self._health.well("standby")

    def _check_stalled(self, lag: Mapping[int, int]) -> None:
        if not any(lag.values()) or self._batcher.waits_for_policy:
            self._moved_at = time.monotonic()
        still = time.monotonic() - self._moved_at
        if still > self._settings.stall_seconds:
            raise StalledError(f"lag {dict(lag)} and no progress for {still:.0f} s while Kafka and Postgres answer")


async def _count_dead_letters(connection: Connection) -> None:
    asked = {"limit": metrics.COUNTED_DEAD_LETTERS}
    row = await (await connection.execute(_SQL["open_dead_letters"], asked)).fetchone()
    metrics.DEAD_LETTERS.set(row[0] if row else 0)
