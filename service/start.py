"""The checks of decision 8, run at start by both processes and at every assignment by the processor."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import AsyncExitStack
from typing import Final, TypeVar

from service.durability import check_commits
from service.errors import UnavailableError
from service.failures import is_passing
from service.health import Health
from service.kafka import admin, consuming, describe_all
from service.log_checks import (
    LogIdentity,
    check_positions,
    check_topics,
    claim_identity,
    load_identity,
    warn_of_weak_topics,
)
from service.logs import logger
from service.migrations import check_migrations
from service.pooling import check_sessions
from service.postgres import connect
from service.settings import ServiceSettings

RETRY_FIRST_SECONDS: Final = 0.2
RETRY_MAX_SECONDS: Final = 5.0

T = TypeVar("T")
_log = logger("checks")


async def check_start(settings: ServiceSettings, *, claim: bool) -> LogIdentity:
    """Check database, cluster and topics; returns the log's identity.

    With `claim`, an empty database becomes the state of an empty log. Raises OperatorError; UnavailableError while
    nobody has claimed the log yet; and what `is_passing` knows when Kafka or Postgres is away.
    """
    topics = settings.topics
    await check_sessions(settings)
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(await connect(settings, "allocations-checks"))
        await check_migrations(connection)
        await check_commits(connection)
        client = await stack.enter_async_context(admin(settings))
        cluster = await describe_all(client, (topics.commands, topics.events, topics.dead_letters))
        identity = await load_identity(connection)
        partitions = check_topics(cluster, topics, identity)
        warn_of_weak_topics(cluster)
        if identity is None:
            if not claim:
                raise UnavailableError("no processor has started on this database yet")
            consumers = await stack.enter_async_context(consuming(settings))
            identity = await claim_identity(connection, consumers, cluster, topics, partitions)
        return identity


async def check_assignment(settings: ServiceSettings, partitions: Collection[int]) -> dict[int, int]:
    """Check that log and tables belong together on these partitions; returns `next_offset` by partition."""
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(await connect(settings, "allocations-checks"))
        consumers = await stack.enter_async_context(consuming(settings))
        return await check_positions(settings, connection, consumers, partitions)


async def when_possible(work: Callable[[], Awaitable[T]], health: Health, part: str) -> T:
    """Retry `work` until it succeeds, reporting in `health` what it waits for. Raises lasting errors."""
    delay = RETRY_FIRST_SECONDS
    while True:
        try:
            result = await work()
        except Exception as error:
            if not is_passing(error):
                raise
            words = f"waiting: {type(error).__name__}: {str(error).strip() or 'no answer'}"
            health.problem(part, words)
            _log.warning("dependency_unavailable", part=part, error=words, retry_seconds=delay)
            await asyncio.sleep(delay)
            delay = min(delay * 2, RETRY_MAX_SECONDS)
        else:
            health.well(part)
            return result
