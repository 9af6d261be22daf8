"""Waiting until the tables have passed a position of the log (decision 9).

Woken by NOTIFY, one for each batch; a poll covers the ones that are lost. The watermark only says when to look: the
proof is the journal row, which comes with the notification or is read.
"""

import asyncio
import contextlib
import heapq
from collections.abc import Mapping
from itertools import count
from typing import Final

from ingress.database import Connection, Database
from ingress.patience import Patience
from ingress.told import Told
from schemas.notices import CHANNEL, decode_notice
from service.errors import UnavailableError
from service.failures import is_passing
from service.health import Health
from service.logs import logger
from service.postgres import connect
from service.settings import ServiceSettings
from service.sql import statements

POLL_SECONDS: Final = 0.1
IDLE_POLL_SECONDS: Final = 1.0
RECONNECT_SECONDS: Final = 0.5

_SQL: Final = statements("ingress")
_log = logger("ingress")


class Watermarks:
    """`next_offset` by partition, as far as this process knows, and who waits for more."""

    def __init__(self, settings: ServiceSettings, database: Database, told: Told, health: Health) -> None:
        self._settings = settings
        self._told = told
        self._database = database
        self._health = health
        self._next_offsets: dict[int, int] = {}
        self._waiting: dict[int, list[tuple[int, int, asyncio.Future[None]]]] = {}
        self._order = count()
        self._needed = asyncio.Event()

    def next_offset(self, partition: int) -> int:
        return self._next_offsets.get(partition, 0)

    async def wait(self, partition: int, offset: int, patience: Patience) -> None:
        """Until the record at `offset` was applied. Raises TimeoutError when `patience` ends before that."""
        if self.next_offset(partition) > offset:
            return
        applied: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._needed.set()
        heapq.heappush(self._waiting.setdefault(partition, []), (offset, next(self._order), applied))
        await patience.wait(applied)

    def _advance(self, next_offsets: Mapping[int, int]) -> None:
        for partition, next_offset in next_offsets.items():
            if next_offset <= self.next_offset(partition):
                continue
            self._next_offsets[partition] = next_offset
            waiting = self._waiting.get(partition, [])
            while waiting and waiting[0][0] < next_offset:
                applied = heapq.heappop(waiting)[2]
                if not applied.done():
                    applied.set_result(None)

    async def follow(self) -> None:
        """Keep up with the tables, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen_for_ever())
            tasks.create_task(self._poll_for_ever())

    async def _listen_for_ever(self) -> None:
        while True:
            try:
                async with await connect(self._settings, "allocations-ingress-listen") as connection:
                    await self._listen(connection)
            except Exception as error:
                if not is_passing(error):
                    raise
                _log.warning("notifications_lost", error=str(error).strip())
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen(self, connection: Connection) -> None:
        """First LISTEN, then read: what is committed in between is told or seen."""
        await connection.execute(f"LISTEN {CHANNEL}")
        self._needed.set()
        async for notification in connection.notifies():
            try:
                notice = decode_notice(notification.payload)
            except ValueError as error:
                _log.warning("foreign_notification", error=str(error))
                continue
            self._told.hear(notice.outcomes)
            self._advance(notice.next_offsets)

    async def _poll_for_ever(self) -> None:
        """Ten times a second while somebody waits; once a second otherwise, to know whether Postgres answers."""
        while True:
            try:
                self._advance(await self._database.run(_read))
                self._health.well("postgres")
            except UnavailableError as error:
                self._health.problem("postgres", f"Postgres does not answer: {error}")
                _log.warning("postgres_away", error=str(error))
            await asyncio.sleep(POLL_SECONDS)
            if not self._has_waiters():
                self._needed.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(IDLE_POLL_SECONDS):
                        await self._needed.wait()

    def _has_waiters(self) -> bool:
        for waiting in self._waiting.values():
            while waiting and waiting[0][2].done():
                heapq.heappop(waiting)
        return any(self._waiting.values())


async def _read(connection: Connection) -> dict[int, int]:
    cursor = await connection.execute(_SQL["watermarks"])
    return {row[0]: row[1] for row in await cursor.fetchall()}
