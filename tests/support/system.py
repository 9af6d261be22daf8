"""A system of real processes for a test: its own topics and database, as many processes as it asks for."""

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import aiohttp
import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from psycopg.rows import dict_row

from bitgo.client import BitGo, load_private_key
from local.child import Child, Process
from local.credentials import development_key, operator_token
from local.ports import give_back, reserve_port
from local.ready import wait_until
from local.supervisor import Change, Supervisor
from schemas.topics import Topics
from service.settings import ServiceSettings
from service.topics import ensure_topics
from tests.support import forked
from tests.support.servers import Servers

ENTERPRISE = "enterprise-1"
Spawn = Callable[[Child], Process]


@dataclass
class System:
    """Processes on `kafka` and `database_url`. Settings are given in lower case: `rejected_as="422"`."""

    kafka: str
    database_url: str
    prefix: str
    folder: Path
    supervisor: Supervisor
    partitions: int = 8
    replication: int = 1
    urls: dict[str, str] = field(default_factory=dict)
    health: dict[str, str] = field(default_factory=dict)
    ended: list[tuple[str, int]] = field(default_factory=list)
    """Name and exit status of every process that ended, in order."""
    ports: list[int] = field(default_factory=list)
    tree: Path | None = None
    """The folder of another source tree, whose processes are started from then on; with `spawn` of local.child only."""
    _port_of: dict[str, int] = field(default_factory=dict)

    @property
    def topics(self) -> Topics:
        return Topics(self.prefix)

    def settings(self) -> ServiceSettings:
        return ServiceSettings(
            kafka_bootstrap_servers=self.kafka,
            postgres_url=self.database_url,
            topic_prefix=self.prefix,  # type: ignore[arg-type]
        )

    async def create_topics(self) -> None:
        await ensure_topics(self.settings(), self.partitions, self.replication)

    async def processor(self, name: str = "processor-0", *, wait: bool = True, **settings: str) -> None:
        own = {"instance_id": name, "group_id": f"{self.prefix}processors", "connections": "open"}
        await self._start("processor", name, own | settings, wait=wait)

    async def ingress(self, name: str = "ingress-0", *, wait: bool = True, **settings: str) -> BitGo:
        """Start an ingress; returns a BitGo that calls it (to be entered)."""
        private, public = development_key(self.folder)
        _, known = operator_token(self.folder)
        port = self.port(name)
        own = {
            "name": name,
            "port": str(port),
            "bitgo_public_key_files": str(public),
            "operator_tokens_file": str(known),
            "enterprise_id": ENTERPRISE,
        }
        await self._start("ingress", name, own | settings, wait=wait)
        self.urls[name] = f"http://127.0.0.1:{port}"
        return BitGo(self.urls[name], load_private_key(private.read_bytes()))

    async def _start(self, verb: str, name: str, settings: dict[str, str], *, wait: bool) -> None:
        port = self.port(f"{name}/metrics")
        common = {
            "kafka_bootstrap_servers": self.kafka,
            "postgres_url": self.database_url,
            "topic_prefix": self.prefix,
            "metrics_port": str(port),
        }
        self.health[name] = f"http://127.0.0.1:{port}"
        own = {f"{verb}_{key}".upper(): value for key, value in (common | settings).items()}
        self.supervisor.start(
            Child(
                name=name,
                argv=[*forked.PROGRAM, verb],
                log=self.log(name),
                cwd=self.tree,
                env=own | ({"PYTHONPATH": str(self.tree)} if self.tree else {}),
                stop_timeout_seconds=25,
            )
        )
        if wait:
            await self.ready(name)

    def port(self, name: str) -> int:
        """Of a process that is called so, and of the next one that is."""
        if name not in self._port_of:
            self._port_of[name] = reserve_port()
            self.ports.append(self._port_of[name])
        return self._port_of[name]

    def log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    async def ready(self, name: str) -> None:
        await wait_until(lambda: self._answers_ready(name), name, self.log(name), print, 60)

    async def _answers_ready(self, name: str) -> bool:
        return (await self.readyz(name))[0] == 200

    async def readyz(self, name: str) -> tuple[int, dict[str, Any]]:
        """Status and document of /readyz; (0, {}) when nobody answers."""
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session,
                session.get(f"{self.health[name]}/readyz") as response,
            ):
                return response.status, await response.json()
        except (aiohttp.ClientError, TimeoutError):
            return 0, {}

    async def metrics(self, name: str) -> dict[str, float]:
        """Every sample of /metrics, by name with labels."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.health[name]}/metrics") as response:
            lines = (await response.text()).splitlines()
        return {
            line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if line and not line.startswith("#")
        }

    def kill(self, name: str) -> int:
        """SIGKILL; returns the pid that was killed."""
        pid = self.supervisor.pids()[name]
        self.supervisor.signal(name, signal.SIGKILL)
        return pid

    def rows(self, statement: str, *arguments: Any) -> list[dict[str, Any]]:
        with psycopg.connect(self.database_url, row_factory=dict_row) as connection:
            return connection.execute(statement.encode(), arguments or None).fetchall()

    async def caught_up(self, timeout_seconds: float = 30) -> None:
        """Until everything in the commands topic is in the journal."""
        async with self.consumer("read_uncommitted") as consumer:
            where = [TopicPartition(self.topics.commands, partition) for partition in range(self.partitions)]
            ends = {each.partition: end for each, end in (await consumer.end_offsets(where)).items()}
        async with asyncio.timeout(timeout_seconds):
            while {row["partition"]: row["next_offset"] for row in self.rows("SELECT * FROM watermark")} != ends:
                await asyncio.sleep(0.05)

    @asynccontextmanager
    async def producer(self) -> AsyncIterator[AIOKafkaProducer]:
        producer = AIOKafkaProducer(bootstrap_servers=self.kafka, acks="all", enable_idempotence=True)
        await producer.start()
        try:
            yield producer
        finally:
            await producer.stop()

    @asynccontextmanager
    async def consumer(
        self, isolation_level: Literal["read_committed", "read_uncommitted"] = "read_committed"
    ) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.kafka,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level=isolation_level,
        )
        await consumer.start()
        try:
            yield consumer
        finally:
            await consumer.stop()

    async def records(self, topic: str, count: int, timeout_seconds: float = 15) -> list[ConsumerRecord]:
        """At least `count` records of a topic as a consumer sees them, in order within each partition."""
        found: list[ConsumerRecord] = []
        async with self.consumer() as consumer:
            consumer.assign([TopicPartition(topic, partition) for partition in range(self.partitions)])
            async with asyncio.timeout(timeout_seconds):
                while len(found) < count:
                    for batch in (await consumer.getmany(timeout_ms=200)).values():
                        found.extend(batch)
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                found.extend(batch)
        return found

    async def __aenter__(self) -> Self:
        await self.create_topics()
        return self

    async def __aexit__(self, *_: object) -> None:
        names = self.supervisor.pids()
        await self.supervisor.stop([name for name in names if "ingress" in name])


@asynccontextmanager
async def running_system(
    servers: Servers,
    database_url: str,
    folder: Path,
    partitions: int = 8,
    spawn: Spawn = forked.spawn,
    replication: int = 1,
) -> AsyncIterator[System]:
    ended: list[tuple[str, int]] = []

    def notify(change: Change) -> None:
        if change.what == "ended" and change.status is not None:
            ended.append((change.name, change.status))

    ports: list[int] = []
    try:
        async with Supervisor(print, notify, spawn) as supervisor:
            prefix = f"t{uuid.uuid4().hex[:12]}."
            async with System(
                *(servers.kafka, database_url, prefix, folder, supervisor, partitions, replication),
                ended=ended,
                ports=ports,
            ) as system:
                yield system
    finally:
        for port in ports:
            give_back(port)


@asynccontextmanager
async def shared_system(
    servers: Servers, template: str, folder: Path, spawn: Spawn = forked.spawn
) -> AsyncIterator[System]:
    """A system without any process yet, for several tests; ids are new in each, so they do not disturb each other."""
    name = f"shared_{uuid.uuid4().hex}"
    servers.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    async with running_system(servers, servers.database_url(name), folder, spawn=spawn) as started:
        yield started


@pytest.fixture
async def system(servers: Servers, database_url: str, tmp_path: Path) -> AsyncIterator[System]:
    """A system without any process yet, for one test."""
    async with running_system(servers, database_url, tmp_path) as started:
        yield started
