"""Connections to Postgres that never block a request for long: a slow call is abandoned, and its caller told so.

A call is never cancelled: a commit that waits for a synchronous standby would only stop waiting, and a dropped
connection leaves a server process behind that keeps waiting (decision 2). So a call that is too slow is abandoned: it
keeps its connection until it ends by itself or the connection breaks.
"""

import asyncio
import select
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar

import psycopg

from ingress import metrics
from ingress.postgres.reached import Reached
from service.errors import UnavailableError
from service.failures import is_passing
from service.log_checks import LogIdentity, load_identity
from service.logs import logger
from service.postgres import SERVER_LIMITS, connect
from service.settings import ServiceSettings

ANSWER_SECONDS: Final = 3.0

Connection = psycopg.AsyncConnection[tuple[Any, ...]]
R = TypeVar("R")
_log = logger("ingress")


class Database:
    """At most `lanes` connections, each used by one call at a time and replaced after a failure, and as many again that
    abandoned calls hold.

    The most recently used one is used next: with few callers, one server process keeps warm caches.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        application_name: str,
        *,
        lanes: int = 1,
        limits: Mapping[str, str] = SERVER_LIMITS,
        identity: LogIdentity | None = None,
        reached: Reached | None = None,
    ) -> None:
        """With an identity, connections to another log's database, or to an incomplete one, are refused; so are those
        to one that lacks what was reached.
        """
        self._identity = identity
        self._reached = reached
        self._settings = settings
        self._name = application_name
        self._limits = limits
        self._lanes = lanes
        self._free: asyncio.LifoQueue[Connection | None] = asyncio.LifoQueue()
        self._abandoned: set[asyncio.Task[Any]] = set()
        for _ in range(lanes):
            self._free.put_nowait(None)

    async def run(self, work: Callable[[Connection], Awaitable[R]]) -> R:
        """Run `work` on a connection.

        Raises UnavailableError if Postgres is unavailable, refuses for a passing reason, or takes over three seconds.
        """
        deadline = asyncio.get_running_loop().time() + ANSWER_SECONDS
        call = asyncio.create_task(self._call(await self._take(deadline), work))
        try:
            await asyncio.wait({call}, timeout=deadline - asyncio.get_running_loop().time())
        except asyncio.CancelledError:
            if call.done():  # in the moment in which its caller was cancelled
                with suppress(Exception):
                    self._settle(call)
            raise
        finally:
            if not call.done():
                self._abandon(call)
        if not call.done():
            raise UnavailableError("Postgres did not answer in time")
        return self._settle(call)

    async def _take(self, deadline: float) -> Connection | None:
        """An idle connection that is open as far as can be seen, or None if one must be made."""
        if len(self._abandoned) == 2 * self._lanes:
            raise UnavailableError("every connection waits for Postgres")
        try:
            connection = self._free.get_nowait()
        except asyncio.QueueEmpty:
            connection = await self._wait_for_one(deadline)
        if connection is not None and _has_ended(connection):
            connection.pgconn.finish()
            self._give_up_idle()
            return None
        return connection

    async def _wait_for_one(self, deadline: float) -> Connection | None:
        try:
            async with asyncio.timeout_at(deadline):
                return await self._free.get()
        except TimeoutError:
            raise UnavailableError("all connections are busy") from None

    async def _call(
        self, connection: Connection | None, work: Callable[[Connection], Awaitable[R]]
    ) -> tuple[Connection, R]:
        if connection is None:
            connection = await connect(self._settings, self._name, self._limits)
            await self._check(connection)
        try:
            return connection, await work(connection)
        except BaseException:
            await connection.close()
            raise

    async def _check(self, connection: Connection) -> None:
        """Raises UnavailableError for a new connection that is not to be used."""
        try:
            if self._identity is not None and await load_identity(connection) != self._identity:
                raise UnavailableError("this database is not the state of our log, or a rebuild is at work on it")
            if self._reached is not None:
                await self._reached.check(connection)
            if asyncio.current_task() in self._abandoned:
                raise UnavailableError("connected too late")
        except BaseException:
            await connection.close()
            raise

    def _settle(self, call: "asyncio.Task[tuple[Connection, R]]") -> R:
        try:
            connection, result = call.result()
        except Exception as error:
            self._give_up_idle()
            self._free.put_nowait(None)
            if not isinstance(error, psycopg.Error | OSError | UnavailableError):
                raise
            if not is_passing(error):
                _log.error("postgres_rejected", error=str(error).strip(), sqlstate=getattr(error, "sqlstate", None))
            raise UnavailableError(str(error).strip()) from error
        self._free.put_nowait(connection)
        return result

    def _give_up_idle(self) -> None:
        """Drop the idle connections: what broke one has likely broken them too."""
        idle = [self._free.get_nowait() for _ in range(self._free.qsize())]
        for connection in idle:
            if connection is not None:
                connection.pgconn.finish()
            self._free.put_nowait(None)

    def _abandon(self, call: "asyncio.Task[tuple[Connection, Any]]") -> None:
        """Leave a call to finish without its caller; another connection replaces it, within the limit."""
        self._give_up_idle()
        self._abandoned.add(call)
        metrics.ABANDONED.inc()
        call.add_done_callback(self._ended)
        if len(self._abandoned) <= self._lanes:
            self._free.put_nowait(None)

    def _ended(self, call: "asyncio.Task[tuple[Connection, Any]]") -> None:
        if len(self._abandoned) > self._lanes:
            self._free.put_nowait(None)
        self._abandoned.discard(call)
        metrics.ABANDONED.dec()
        if not call.cancelled() and call.exception() is None:
            call.result()[0].pgconn.finish()

    async def close(self) -> None:
        """Drop every connection, those of abandoned calls too."""
        for call in self._abandoned:
            call.cancel()
        if self._abandoned:
            await asyncio.wait(self._abandoned)
        self._give_up_idle()


def _has_ended(connection: Connection) -> bool:
    """Whether the server has closed an idle connection: only then is its socket readable."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN)
    return bool(poll.poll(0))
