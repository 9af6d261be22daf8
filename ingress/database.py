"""Connections to Postgres that never keep a request waiting: no answer in time is an answer, and a new connection."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

import psycopg

from service.errors import UnavailableError
from service.failures import is_postgres_passing
from service.postgres import SERVER_LIMITS, connect
from service.settings import ServiceSettings

ANSWER_SECONDS: Final = 3.0

Connection = psycopg.AsyncConnection[tuple[Any, ...]]
R = TypeVar("R")


class Database:
    """At most `lanes` connections, each used by one call at a time and replaced after a failure.

    The one that was used last is used next: where callers are few, one server process has everything at hand.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        application_name: str,
        *,
        lanes: int = 1,
        limits: Mapping[str, str] = SERVER_LIMITS,
    ) -> None:
        self._settings = settings
        self._name = application_name
        self._limits = limits
        self._free: asyncio.LifoQueue[Connection | None] = asyncio.LifoQueue()
        self._cut_off: set[asyncio.Task[None]] = set()
        for _ in range(lanes):
            self._free.put_nowait(None)

    async def run(self, work: Callable[[Connection], Awaitable[R]]) -> R:
        """Give `work` a connection.

        Raises UnavailableError when Postgres is away, busy, or slower than three seconds.
        """
        deadline = asyncio.get_running_loop().time() + ANSWER_SECONDS
        try:
            async with asyncio.timeout_at(deadline):
                connection = await self._free.get()
        except TimeoutError:
            raise UnavailableError("all connections are busy") from None
        task = asyncio.create_task(self._call(connection, work))
        try:
            await asyncio.wait({task}, timeout=deadline - asyncio.get_running_loop().time())
        finally:
            if not task.done():
                self._cut(task)
                self._give_up_idle()
                self._free.put_nowait(None)
        if not task.done():
            raise UnavailableError("Postgres did not answer in time")
        return self._settle(task)

    async def _call(
        self, connection: Connection | None, work: Callable[[Connection], Awaitable[R]]
    ) -> tuple[Connection, R]:
        if connection is None or connection.closed:
            connection = await connect(self._settings, self._name, self._limits)
        try:
            return connection, await work(connection)
        except BaseException:
            await connection.close()
            raise

    def _settle(self, task: "asyncio.Task[tuple[Connection, R]]") -> R:
        try:
            connection, result = task.result()
        except Exception as error:
            if is_postgres_passing(error):
                self._give_up_idle()
                self._free.put_nowait(None)
                raise UnavailableError(str(error).strip()) from error
            self._free.put_nowait(None)
            raise
        self._free.put_nowait(connection)
        return result

    def _give_up_idle(self) -> None:
        """What broke one connection has likely broken those that nobody uses now: they are made anew when needed."""
        idle = [self._free.get_nowait() for _ in range(self._free.qsize())]
        for connection in idle:
            if connection is not None:
                connection.pgconn.finish()
            self._free.put_nowait(None)

    def _cut(self, task: "asyncio.Task[Any]") -> None:
        """Let a call that was too slow end by itself: psycopg may take seconds to ask a silent server to cancel it."""
        task.cancel()
        ending = asyncio.create_task(_end(task))
        self._cut_off.add(ending)
        ending.add_done_callback(self._cut_off.discard)

    async def close(self) -> None:
        while not self._free.empty():
            connection = self._free.get_nowait()
            if connection is not None:
                await connection.close()


async def _end(task: "asyncio.Task[tuple[Connection, Any]]") -> None:
    await asyncio.wait({task})
    if not task.cancelled() and task.exception() is None:
        await task.result()[0].close()
