"""A Kafka for all of them, and for each test two servers of Postgres of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from local.archive import ensure_archive
from local.child import spawn
from local.jars import ensure_jars
from local.kafka import Kafka
from local.supervisor import Supervisor
from service.migrations import migrate
from tests.failover.pair import Pair, pair
from tests.support.cli import Ran, run
from tests.support.servers import Servers
from tests.support.system import System, running_system


@pytest.fixture(scope="session")
async def kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kafka]:
    jars = await asyncio.to_thread(ensure_jars, print)
    kafka = Kafka(tmp_path_factory.mktemp("kafka"), jars, print, archive=await ensure_archive(jars, print))
    async with Supervisor(print) as supervisor:
        await kafka.prepare()
        supervisor.start(kafka.child())
        await kafka.wait_ready()
        yield kafka
    kafka.close()


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Pair]:
    """A migrated primary, and a standby that has all of it."""
    async with pair(tmp_path) as started:
        migrate(started.primary.url)
        yield started


@asynccontextmanager
async def system_on(kafka: Kafka, url: str, folder: Path) -> AsyncIterator[System]:
    async with running_system(Servers("embedded", kafka.bootstrap, url), url, folder, spawn=spawn) as system:
        yield system


async def command(system: System, *arguments: object) -> Ran:
    """`allocations` with a processor's settings."""
    return await run(
        *arguments,
        PROCESSOR_KAFKA_BOOTSTRAP_SERVERS=system.kafka,
        PROCESSOR_POSTGRES_URL=system.database_url,
        PROCESSOR_TOPIC_PREFIX=system.prefix,
        PROCESSOR_CONNECTIONS="open",
    )


async def verified(system: System) -> None:
    """`allocations verify` finds no difference."""
    ran = await command(system, "verify")
    assert ran.status == 0, ran
