"""What a run plays on: Kafka and Postgres behind proxies, and `allocations up` in front of them.

The servers are embedded ones of our own, under a supervisor that restarts them; `up` is told to use the proxies. What
Kafka advertises is the proxy, so that no client goes round it; brokers talk to themselves and to each other past it.
"""

import asyncio
import json
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from local.archive import ensure_archive
from local.child import Child, tail
from local.cluster import NODES, Cluster, cluster_id_of
from local.folder import remembered_ports
from local.jars import ensure_jars
from local.kafka import Kafka
from local.postgres import Postgres
from local.ready import wait_until
from local.report import Report
from local.supervisor import Supervisor
from tests.checker.findings import Findings
from tests.faults.run.administrator import stranger
from tests.faults.run.clock import Clock
from tests.faults.run.disk import Disk
from tests.faults.run.processes import environment, processes
from tests.faults.run.proxy import Proxy
from tests.faults.run.stories import LIMIT, LIMITED

UP_SECONDS: Final = 120
LEAVE_SECONDS: Final = 60
ALLOCATIONS: Final = str(Path(sys.executable).with_name("allocations"))


@dataclass
class Stage:
    supervisor: Supervisor
    kafka: Kafka | Cluster
    postgres: Postgres
    kafka_proxies: Sequence[Proxy]
    """One of each broker."""
    postgres_proxy: Proxy
    clock: Clock
    disk: Disk
    report: Report
    description: dict[str, Any]
    partitions: int
    stranger_url: str
    """Of a role in Postgres without any right."""
    findings: Findings = field(default_factory=Findings)
    """What was found while things broke."""
    foreign_calls: list[dict[str, Any]] = field(default_factory=list)
    """Commands that others have put into the log: calls that nobody answered, as the history has them."""

    def processes(self) -> dict[str, int]:
        """Names and pids of the living, servers and what `up` and this run started."""
        own = self.supervisor.pids()
        up = own.pop("up", None)
        return own | (processes(up) if up else {})

    async def back(self, *servers: str) -> None:
        """Until the servers accept clients, asked past the proxies."""
        for name in servers:
            await (self.kafka if name == "kafka" else self.postgres).wait_ready(120)

    def nodes(self) -> dict[str, Kafka]:
        """The brokers by name."""
        return {node.name: node for node in (self.kafka.nodes if isinstance(self.kafka, Cluster) else [self.kafka])}

    async def format_broker(self, name: str) -> None:
        """An empty disk in place of the one that was lost."""
        assert isinstance(self.kafka, Cluster)
        known = next(filter(None, map(cluster_id_of, self.kafka.nodes)))
        await self.nodes()[name].format(self.kafka.voters, known)

    def start_broker(self, name: str) -> None:
        """One that was removed."""
        for node, proxy in zip(self.nodes().values(), self.kafka_proxies, strict=True):
            if node.name == name:
                self.supervisor.start(_behind(node, proxy, self.disk.folder, self.clock))

    @asynccontextmanager
    async def another_processor(self) -> AsyncIterator[str]:
        """A processor that `up` does not know: it joins, and it leaves for good."""
        like = environment(self.processes()["processor-0"])
        name = f"processor-{uuid.uuid4().hex[:6]}"
        own = {key: value for key, value in like.items() if key.startswith("PROCESSOR_")}
        child = Child(
            name=name,
            argv=[ALLOCATIONS, "processor"],
            log=self.disk.folder / "logs" / f"{name}.log",
            env=own | {"PROCESSOR_INSTANCE_ID": name, "PROCESSOR_METRICS_PORT": "0"},
            restarted=False,
        )
        self.supervisor.start(child)
        try:
            yield name
        finally:
            await self.supervisor.remove(name)


@asynccontextmanager
async def stage(folder: Path, report: Report, partitions: int, brokers: int = 1) -> AsyncIterator[Stage]:
    disk, clock = Disk(folder), Clock(folder)
    disk.make()
    clock.make()
    jars = await asyncio.to_thread(ensure_jars, report)
    archive = await ensure_archive(jars, report)
    kafka = (Cluster if brokers == NODES else Kafka)(disk.folder, jars, report, archive=archive)
    nodes = kafka.nodes if isinstance(kafka, Cluster) else [kafka]
    postgres = Postgres(disk.folder, report)
    async with AsyncExitStack() as exits:
        await asyncio.gather(kafka.prepare(), postgres.prepare())
        exits.callback(kafka.close)
        exits.callback(postgres.close)
        to_kafka = [await exits.enter_async_context(Proxy(node.ports["broker"])) for node in nodes]
        to_postgres = await exits.enter_async_context(Proxy(postgres.port))
        supervisor = await exits.enter_async_context(Supervisor(report))
        for node, proxy in zip(nodes, to_kafka, strict=True):
            supervisor.start(_behind(node, proxy, disk.folder, clock))
        supervisor.start(replace(postgres.child(), env=postgres.child().env | clock.env))
        await asyncio.gather(kafka.wait_ready(), postgres.wait_ready())
        stranger_url = await exits.enter_async_context(stranger(postgres))
        up = _up(folder, disk.folder, to_kafka, _through(postgres.url, to_postgres), clock, partitions)
        supervisor.start(up)
        description = await _described(up.log, report)
        servers = (supervisor, kafka, postgres, to_kafka, to_postgres)
        yield Stage(*servers, clock, disk, report, description, partitions, stranger_url)
        await supervisor.remove("up")


def _behind(kafka: Kafka, proxy: Proxy, data: Path, clock: Clock) -> Child:
    """The broker, which sends its clients to the proxy and has a door of its own for itself."""
    inside = remembered_ports(data / kafka.name, ("broker", "controller", "inside"))["inside"]
    broker, controller = kafka.ports["broker"], kafka.ports["controller"]
    settings = {
        "listeners": f"PLAINTEXT://127.0.0.1:{broker},INSIDE://127.0.0.1:{inside},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{proxy.port},INSIDE://127.0.0.1:{inside}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "INSIDE",
    }
    child = kafka.child()
    if kafka.seat.nodes > 1:
        child = replace(child, stop_signal=signal.SIGKILL)
    overrides = [word for name, value in settings.items() for word in ("--override", f"{name}={value}")]
    return replace(child, argv=[*child.argv, *overrides], env=dict(child.env) | dict(clock.env))


def _through(url: str, proxy: Proxy) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{proxy.port}"))


def _up(folder: Path, data: Path, kafka: Sequence[Proxy], postgres_url: str, clock: Clock, partitions: int) -> Child:
    bootstrap = ",".join(f"127.0.0.1:{proxy.port}" for proxy in kafka)
    servers = ("--kafka", bootstrap, "--brokers", str(len(kafka)), "--postgres", postgres_url)
    return Child(
        name="up",
        argv=[ALLOCATIONS, "up", "--data", data, "--port", "0", "--partitions", str(partitions), *servers],
        log=folder / "up.log",
        env=dict(clock.env) | {"PROCESSOR_LIMITS": json.dumps({LIMITED: str(LIMIT)})},
        stop_timeout_seconds=LEAVE_SECONDS,
        restarted=False,
    )


async def _described(log: Path, report: Report) -> dict[str, Any]:
    """The line of JSON that `up` prints when all is ready."""
    found: list[str] = []

    async def said() -> bool:
        found.extend(line for line in tail(log) if line.startswith("{"))
        return bool(found)

    await wait_until(said, "allocations up", log, report, UP_SECONDS)
    description: dict[str, Any] = json.loads(found[0])
    return description
