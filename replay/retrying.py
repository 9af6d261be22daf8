"""The connections that retries need: checked first, and held by one operator at a time."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, LiteralString

from replay.dead_letters import Connection, RefusedError
from replay.producer import producing
from replay.retry import Retrier, Say
from service.kafka import commands_reader
from service.migrations import check_migrations
from service.pooling import check_sessions
from service.postgres import connect
from service.settings import ServiceSettings
from service.start import check_start

_LOCK: Final[LiteralString] = "SELECT pg_try_advisory_lock(hashtext('allocations dead-letters'))"


@asynccontextmanager
async def handling(settings: ServiceSettings) -> AsyncIterator[Connection]:
    """A connection whose lock says that nobody else handles dead letters: who died holds it no longer.

    Raises RefusedError while somebody else does.
    """
    await check_sessions(settings)
    async with await connect(settings, "allocations-dead-letters") as connection:
        await check_migrations(connection)
        row = await (await connection.execute(_LOCK)).fetchone()
        if not (row and row[0]):
            raise RefusedError("somebody else handles dead letters at this moment: wait until that is done")
        yield connection


@asynccontextmanager
async def retrying(settings: ServiceSettings, by: str, reason: str | None, say: Say) -> AsyncIterator[Retrier]:
    """Raises OperatorError unless log, topics and database belong together."""
    identity = await check_start(settings, claim=False)
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(handling(settings))
        consumer = await stack.enter_async_context(commands_reader(settings))
        producer = await stack.enter_async_context(producing(settings))
        yield Retrier(identity, connection, producer, consumer, by, reason, say)
