"""Kafka and Postgres for the tests: from images when a Docker API answers, embedded ones otherwise.

ALLOCATIONS_TEST_SERVERS=embedded|containers chooses instead of looking. The images are those of docker-compose.yml, and
Kafka's settings too. What stops or kills a server, and `allocations up`, has embedded ones either way.
"""

import asyncio
import os
import signal
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import yaml

from local.archive import ensure_archive
from local.jars import ensure_jars
from local.kafka import Kafka, is_ready
from local.ports import reserve_port
from local.postgres import Postgres
from local.supervisor import Supervisor
from service.migrations import migrate

LEAVE_SECONDS: Final = 20.0
CONNECTIONS_MAX: Final = 400
"""Several systems live at once: those that a whole run shares, and that of the file."""
ROOT: Final = Path(__file__).resolve().parent.parent.parent


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

    def drop(self, name: str) -> None:
        """A database, with whoever is connected to it; Postgres's own cleaner can not be sent away, and soon leaves."""
        deadline = time.monotonic() + LEAVE_SECONDS
        while True:
            try:
                return self.execute(f"DROP DATABASE {name} WITH (FORCE)")
            except psycopg.errors.InsufficientPrivilege:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)


@pytest.fixture(scope="session")
async def servers() -> AsyncIterator[Servers]:
    """One Kafka and one Postgres for the whole run."""
    async with _from_images() if chosen() == "containers" else _embedded() as started:
        print(f"servers: {started.kind}")
        yield started


def chosen() -> str:
    kind = os.environ.get("ALLOCATIONS_TEST_SERVERS") or ("containers" if _docker_answers() else "embedded")
    if kind not in {"containers", "embedded"}:
        raise pytest.UsageError(f"ALLOCATIONS_TEST_SERVERS is {kind}: embedded or containers")
    return kind


@asynccontextmanager
async def _embedded() -> AsyncIterator[Servers]:
    with tempfile.TemporaryDirectory(prefix="allocations-tests-") as folder:
        data = Path(folder)
        jars = await asyncio.to_thread(ensure_jars, print)
        kafka = Kafka(data, jars, print, archive=await ensure_archive(jars, print))
        postgres = Postgres(data, print)
        async with Supervisor(print) as supervisor:
            await asyncio.gather(kafka.prepare(), postgres.prepare())
            supervisor.start(replace(kafka.child(), stop_signal=signal.SIGKILL))  # nobody needs what they hold
            roomy = [*postgres.child().argv, "-c", f"max_connections={CONNECTIONS_MAX}"]
            supervisor.start(replace(postgres.child(), argv=roomy, stop_signal=signal.SIGQUIT))
            await asyncio.gather(kafka.wait_ready(), postgres.wait_ready())
            yield Servers("embedded", kafka.bootstrap, postgres.url)
        kafka.close()
        postgres.close()


@asynccontextmanager
async def _from_images() -> AsyncIterator[Servers]:
    with ExitStack() as stack:
        kafka, postgres_url = await asyncio.to_thread(_start_containers, stack)
        async with asyncio.timeout(60):
            while not await is_ready(kafka):
                await asyncio.sleep(0.1)
        yield Servers("containers", kafka, postgres_url)


def _start_containers(stack: ExitStack) -> tuple[str, str]:
    """A broker must know the address at which others reach it before it starts, so its port is chosen here."""
    from testcontainers.community.postgres import PostgresContainer  # noqa: PLC0415
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415

    services = compose()["services"]
    postgres = PostgresContainer(services["postgres"]["image"], driver=None)
    postgres.with_envs(**services["postgres"]["environment"])
    stack.enter_context(postgres)
    kafka = DockerContainer(services["kafka"]["image"])
    address = f"{kafka.get_docker_client().host()}:{reserve_port()}"
    settings = services["kafka"]["environment"] | {
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://localhost:9092,HOST://{address}"
    }
    kafka.with_envs(**{name: str(value) for name, value in settings.items()})
    kafka.with_bind_ports(9094, int(address.rpartition(":")[2]))
    stack.enter_context(kafka)
    return address, postgres.get_connection_url()


def compose() -> dict[str, Any]:
    """docker-compose.yml, with its merges done."""
    document: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return document


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


@pytest.fixture(scope="session")
def drop(servers: Servers) -> Iterator[Callable[[str], None]]:
    """Drops a database beside the tests that follow, because that waits for a checkpoint."""
    drops: list[Future[None]] = []
    with ThreadPoolExecutor(1) as thread:
        yield lambda name: drops.append(thread.submit(servers.drop, name))
    for each in drops:
        each.result()


@pytest.fixture
def database_url(servers: Servers, template: str, drop: Callable[[str], None]) -> Iterator[str]:
    """A migrated database of the test's own."""
    name = f"test_{uuid.uuid4().hex}"
    servers.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield servers.database_url(name)
    drop(name)
