"""The servers of a data folder: embedded ones started, and those of `allocations up` found again by other verbs."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from local.archive import ensure_archive
from local.cluster import NODES, Cluster, check_nodes
from local.folder import open_lock, release, try_lock, write
from local.jars import ensure_jars
from local.kafka import Kafka
from local.postgres import Postgres
from local.report import LocalError, Report
from local.supervisor import Supervisor

_FILE: Final = "servers.json"


@dataclass(frozen=True)
class Addresses:
    """Where the servers are. `embedded` names those that are ours to start; `connections`: the processors' setting;
    `brokers`: how many embedded ones there are.
    """

    kafka: str
    postgres: str
    topic_prefix: str
    embedded: list[str]
    connections: str
    brokers: int = 1


async def start_kafka(data: Path, brokers: int, supervisor: Supervisor, stack: AsyncExitStack, report: Report) -> str:
    """Start the embedded Kafka, of one broker or three, and wait until it answers; returns its address.

    Raises LocalError.
    """
    check_nodes(data, brokers)
    jars = await _jars(report)
    archive = await ensure_archive(jars, report)
    kafka = (Cluster if brokers == NODES else Kafka)(data, jars, report, archive=archive)
    await kafka.prepare()
    stack.callback(kafka.close)
    for child in kafka.children():
        supervisor.start(child)
    await kafka.wait_ready()
    report(f"Kafka answers at {kafka.bootstrap}")
    return kafka.bootstrap


async def start_postgres(data: Path, supervisor: Supervisor, stack: AsyncExitStack, report: Report) -> str:
    """Start the embedded Postgres and wait until it answers; returns its URL. Raises LocalError."""
    postgres = Postgres(data, report)
    await postgres.prepare()
    stack.callback(postgres.close)
    supervisor.start(postgres.child())
    await postgres.wait_ready()
    report(f"Postgres answers at 127.0.0.1:{postgres.port}")
    return postgres.url


async def _jars(report: Report) -> Path:
    """A Ctrl-C ends the download, which resumes at the next start."""
    stop = threading.Event()
    try:
        return await asyncio.to_thread(ensure_jars, report, stop=stop)
    finally:
        stop.set()


def remember(data: Path, addresses: Addresses) -> None:
    """Write down what `up` uses, for its owner only: the URL of Postgres has the password."""
    write(data / _FILE, json.dumps(asdict(addresses)), mode=0o600)


@asynccontextmanager
async def servers_of(data: Path, report: Report) -> AsyncIterator[Addresses]:
    """The servers that `up` uses in this folder; while it does not run, they run for as long as the context lasts.

    Raises LocalError.
    """
    folder = data.absolute()  # noqa: ASYNC240 - asks nobody
    file = folder / _FILE
    if not file.exists():
        raise LocalError(f"`allocations up` has not been used in {data}: name another folder with --data")
    addresses = Addresses(**json.loads(file.read_text()))
    lock = open_lock(folder / "up")
    try:
        if not try_lock(lock):
            yield addresses
        else:
            report(f"`allocations up` does not run in {data}: its servers are started for as long as this takes")
            async with _started(folder, addresses, report) as started:
                yield started
    finally:
        release(lock)


@asynccontextmanager
async def _started(data: Path, addresses: Addresses, report: Report) -> AsyncIterator[Addresses]:
    kafka, postgres = addresses.kafka, addresses.postgres
    async with AsyncExitStack() as stack:
        supervisor = await stack.enter_async_context(Supervisor(report))
        if "kafka" in addresses.embedded:
            kafka = await start_kafka(data, addresses.brokers, supervisor, stack, report)
        if "postgres" in addresses.embedded:
            postgres = await start_postgres(data, supervisor, stack, report)
        yield replace(addresses, kafka=kafka, postgres=postgres)
