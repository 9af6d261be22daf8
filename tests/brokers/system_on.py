"""A system on servers of a test's own, and the verbs that are run against it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.cli import run
from tests.support.servers import Servers
from tests.support.system import System, running_system


@asynccontextmanager
async def system_on(servers: Servers, folder: Path) -> AsyncIterator[System]:
    """With a database of its own; the test's own look at Kafka goes to the servers' plain door."""
    name = f"brokers_{folder.name.lower()}"[:60].replace("-", "_")
    servers.execute(f'CREATE DATABASE "{name}" TEMPLATE allocations')
    async with running_system(servers, servers.database_url(name), folder) as system:
        yield system


def environment(system: System, given: Mapping[str, str]) -> dict[str, str]:
    """For verbs; `given` are settings in lower case."""
    own = {
        "kafka_bootstrap_servers": system.kafka,
        "postgres_url": system.database_url,
        "topic_prefix": system.prefix,
        "group_id": f"{system.prefix}processors",
    }
    return {f"PROCESSOR_{name}".upper(): value for name, value in (own | dict(given)).items()}


async def verified(system: System, given: Mapping[str, str]) -> None:
    ran = await run("verify", **environment(system, given))
    assert 0 == ran.status, ran.out + ran.err
