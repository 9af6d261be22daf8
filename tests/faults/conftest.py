"""Servers of this folder's own, to be stopped and killed; each test has topics and a database of its own."""

import asyncio
import os
import signal
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from bitgo.client import BitGo
from local.archive import ensure_archive
from local.child import spawn
from local.jars import ensure_jars
from local.kafka import Kafka
from local.postgres import Postgres
from local.supervisor import Supervisor
from service.migrations import migrate
from tests.support.servers import Servers
from tests.support.system import System, running_system
from tests.support.traffic import Traffic, entered


@dataclass
class Machine:
    """A Kafka and a Postgres, kept running by a supervisor."""

    supervisor: Supervisor
    kafka: Kafka
    postgres: Postgres

    @property
    def servers(self) -> Servers:
        return Servers("embedded", self.kafka.bootstrap, self.postgres.url)

    @asynccontextmanager
    async def asleep(self, name: str) -> AsyncIterator[None]:
        """SIGSTOP, to the server and to what serves its connections: all is there, and nothing answers."""
        pid = self.supervisor.pids()[name]
        pids = [pid, *await asyncio.to_thread(_children, pid)]
        try:
            for each in pids:
                os.kill(each, signal.SIGSTOP)
            yield
        finally:
            for each in reversed(pids):
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGCONT)

    async def kill(self, name: str) -> None:
        pid = self.supervisor.pids()[name]
        self.supervisor.signal(name, signal.SIGKILL)
        await self.supervisor.restarted(name, pid)
        await (self.kafka if name == "kafka" else self.postgres).wait_ready()


def _children(pid: int) -> list[int]:
    """The processes that a server has started, from all of its threads."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


@pytest.fixture(scope="session")
async def machine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Machine]:
    data = tmp_path_factory.mktemp("machine")
    jars = await asyncio.to_thread(ensure_jars, print)
    kafka = Kafka(data, jars, print, archive=await ensure_archive(jars, print))
    postgres = Postgres(data, print)
    async with Supervisor(print) as supervisor:
        await asyncio.gather(kafka.prepare(), postgres.prepare())
        supervisor.start(kafka.child())
        supervisor.start(postgres.child())
        await asyncio.gather(kafka.wait_ready(), postgres.wait_ready())
        yield Machine(supervisor, kafka, postgres)
    kafka.close()
    postgres.close()


@pytest.fixture
async def fragile(machine: Machine, tmp_path: Path) -> AsyncIterator[System]:
    """A system on the machine, without any process yet."""
    name = f"fragile_{uuid.uuid4().hex}"
    machine.servers.execute(f"CREATE DATABASE {name}")
    migrate(machine.servers.database_url(name))
    async with running_system(machine.servers, machine.servers.database_url(name), tmp_path, spawn=spawn) as system:
        yield system
    machine.servers.drop(name)


@asynccontextmanager
async def two_of_each(system: System, **settings: str) -> AsyncIterator[Traffic]:
    """Two processors and two ingresses, and traffic for them."""
    for n in range(2):
        await system.processor(f"processor-{n}", wait=False)
    ingresses: list[BitGo] = [await system.ingress(f"ingress-{n}", wait=False, **settings) for n in range(2)]
    for name in system.health:
        await system.ready(name)
    async with AsyncExitStack() as stack:
        yield Traffic(await entered(stack, *ingresses))
