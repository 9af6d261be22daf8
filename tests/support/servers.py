"""Kafka and Postgres for the tests: from images when a Docker API answers, embedded ones otherwise.

ALLOCATIONS_TEST_SERVERS=embedded|containers chooses instead of looking.
"""

import asyncio
import os
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from local.archive import ensure_archive
from local.jars import ensure_jars
from local.kafka import Kafka
from local.postgres import Postgres
from local.supervisor import Supervisor
from service.migrations import migrate


@dataclass(frozen=True)
class Servers:
    """`postgres_url` may create databases; `kind` says where they come from."""

    kind: str
    kafka: str
    postgres_url: str

    def database_url(self, name: str) -> str:
        return urlunsplit(urlsplit(self.postgres_url)._replace(path=f"/{name}"))

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.postgres_url, autocommit=True) as connection:
            connection.execute(statement.encode())


@pytest.fixture(scope="session")
async def servers() -> AsyncIterator[Servers]:
    """One Kafka and one Postgres for the whole run."""
    kind = os.environ.get("ALLOCATIONS_TEST_SERVERS") or ("containers" if _docker_answers() else "embedded")
    async with _from_images() if kind == "containers" else _embedded() as started:
        yield started


@asynccontextmanager
async def _embedded() -> AsyncIterator[Servers]:
    with tempfile.TemporaryDirectory(prefix="allocations-tests-") as folder:
        data = Path(folder)
        jars = await asyncio.to_thread(ensure_jars, print)
        kafka = Kafka(data, jars, print, archive=await ensure_archive(jars, print))
        postgres = Postgres(data, print)
        async with Supervisor(print) as supervisor:
            await asyncio.gather(kafka.prepare(), postgres.prepare())
            supervisor.start(kafka.child())
            supervisor.start(postgres.child())
            await asyncio.gather(kafka.wait_ready(), postgres.wait_ready())
            yield Servers("embedded", kafka.bootstrap, postgres.url)
        kafka.close()
        postgres.close()


@asynccontextmanager
async def _from_images() -> AsyncIterator[Servers]:
    with ExitStack() as stack:
        kafka, postgres_url = await asyncio.to_thread(_start_containers, stack)
        yield Servers("containers", kafka, postgres_url)


def _start_containers(stack: ExitStack) -> tuple[str, str]:
    from testcontainers.community.kafka import KafkaContainer  # noqa: PLC0415
    from testcontainers.community.postgres import PostgresContainer  # noqa: PLC0415

    postgres = stack.enter_context(PostgresContainer("postgres:17", driver=None))
    kafka = stack.enter_context(KafkaContainer("apache/kafka:4.3.1"))
    return kafka.get_bootstrap_server(), postgres.get_connection_url()


def _docker_answers() -> bool:
    if "DOCKER_HOST" not in os.environ and not Path("/var/run/docker.sock").exists():
        return False
    try:
        import docker  # noqa: PLC0415

        client = docker.from_env(timeout=2)
        try:
            return bool(client.ping())
        finally:
            client.close()
    except Exception:  # noqa: BLE001 - whatever it is, there is no Docker
        return False


@pytest.fixture(scope="session")
def template(servers: Servers) -> str:
    """The name of a migrated, empty database, to be cloned."""
    name = f"template_{uuid.uuid4().hex}"
    servers.execute(f"CREATE DATABASE {name}")
    migrate(servers.database_url(name))
    return name


@pytest.fixture
def database_url(servers: Servers, template: str) -> Iterator[str]:
    """A migrated database of the test's own."""
    name = f"test_{uuid.uuid4().hex}"
    servers.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield servers.database_url(name)
    servers.execute(f"DROP DATABASE {name} WITH (FORCE)")
