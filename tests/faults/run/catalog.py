"""Everything that a run can break, how, and how soon answers must be back. Each gives the time to count from.

A process is counted from the moment it was hurt; a server from the moment it is back, because nobody can answer without
it, except that a broker that was killed is counted from the kill. An ingress that sleeps is counted from when it wakes:
it keeps its callers' connections, and nobody else can answer on those. What others write is counted from its beginning:
answers go on meanwhile.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from random import Random
from typing import Final

import psycopg

from tests.faults.run import foreign, server_settings
from tests.faults.run.fault import BROKER, FOREIGN, INGRESS, POSTGRES, RESTART, TAKEOVER, Fault, Inject
from tests.faults.run.processes import group, started_at
from tests.faults.run.proxy import END_OF_TRANSACTION, PRODUCE, Deed, Proxy, Trap, kafka_request, postgres_did
from tests.faults.run.stage import Stage

SPRING_SECONDS: Final = 5.0
JOIN_SECONDS: Final = 20.0
EVERYTHING: Final = 1000


async def _running(stage: Stage, name: str) -> dict[str, int]:
    """A server, or the ingresses or processors that run. What the other fault of a pair has ended is waited for."""
    while True:
        found = {each: pid for each, pid in stage.processes().items() if each.startswith(name)}
        if found:
            return found
        await asyncio.sleep(0.1)


def send(number: signal.Signals, name: str) -> Inject:
    """To the oldest of that name: a supervisor lets one wait that dies twice within half a minute."""

    async def inject(stage: Stage, _random: Random) -> float:
        pid = min((await _running(stage, name)).values(), key=started_at)
        at = time.monotonic()
        _signal([pid], number)
        if name not in ("kafka", "postgres"):
            return at
        await asyncio.sleep(0.2)
        await stage.back(name)
        return at if (name, number) == ("kafka", signal.SIGKILL) else time.monotonic()

    return inject


def sleep(name: str, *seconds: float) -> Inject:
    async def inject(stage: Stage, random: Random) -> float:
        running = await _running(stage, name)
        pids = group(running[random.choice(sorted(running))])
        at = time.monotonic()
        try:
            _signal(pids, signal.SIGSTOP)
            await asyncio.sleep(random.choice(seconds))
        finally:
            _signal(reversed(pids), signal.SIGCONT)
        return at if name == "processor" else time.monotonic()

    return inject


def _signal(pids: "Sequence[int] | reversed[int]", number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


async def join_and_leave(stage: Stage, random: Random) -> float:
    """Partitions move to a third processor and come back, when it leaves in order or is killed."""
    at = time.monotonic()
    async with stage.another_processor() as name:
        log = stage.disk.folder / "logs" / f"{name}.log"
        with suppress(TimeoutError):
            async with asyncio.timeout(JOIN_SECONDS):
                while '"partitions_assigned"' not in await asyncio.to_thread(_text, log):
                    await asyncio.sleep(0.1)
        await asyncio.sleep(random.uniform(0.5, 2))
        if random.random() < 0.5:
            stage.supervisor.signal(name, signal.SIGKILL)
    return at


def _text(log: "os.PathLike[str]") -> str:
    with suppress(FileNotFoundError), open(log) as file:  # noqa: PTH123
        return file.read()
    return ""


def line(server: str, state: Callable[[Proxy, Random], AbstractAsyncContextManager[None]], *seconds: float) -> Inject:
    """The connections to a server, all of them, for a while."""

    async def inject(stage: Stage, random: Random) -> float:
        async with state(_proxy(stage, server), random):
            await asyncio.sleep(random.uniform(*seconds))
        return time.monotonic()

    return inject


def _proxy(stage: Stage, server: str) -> Proxy:
    return stage.kafka_proxies[0] if server == "kafka" else stage.postgres_proxy


def moment(server: str, side: str, sees: Callable[[bytes], bool], *deeds: Deed) -> Inject:
    """One connection, in the middle of something; a few times."""

    async def inject(stage: Stage, random: Random) -> float:
        at = time.monotonic()
        for _ in range(3):
            trap = Trap("client" if side == "client" else "server", sees, random.choice(deeds), random.uniform(0.5, 3))
            await _proxy(stage, server).spring(trap, SPRING_SECONDS)
            await asyncio.sleep(trap.seconds if trap.deed == "stall" else random.uniform(0.1, 0.5))
            at = time.monotonic()
        return at

    return inject


async def no_connections(stage: Stage, random: Random) -> float:
    """Postgres has none left: ours take every place, and those of the processes are ended."""
    until = time.monotonic() + random.uniform(2, 4)
    while time.monotonic() < until:
        with suppress(psycopg.OperationalError):  # another fault took Postgres away
            async with _taken(stage) as take:
                while time.monotonic() < until:
                    await take()
                    await asyncio.sleep(0.1)
        await asyncio.sleep(0.1)
    return time.monotonic()


@asynccontextmanager
async def _taken(stage: Stage) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    held: list[psycopg.AsyncConnection[tuple[object, ...]]] = []

    async def take() -> None:
        await held[0].execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name LIKE 'allocations-%' AND usename = current_user"
        )
        with suppress(psycopg.OperationalError):
            while len(held) < EVERYTHING:
                held.append(await psycopg.AsyncConnection.connect(stage.postgres.url, autocommit=True))

    held.append(await psycopg.AsyncConnection.connect(stage.postgres.url, autocommit=True))
    try:
        yield take
    finally:
        for connection in held:
            await connection.close()


async def full_disk(stage: Stage, random: Random) -> float:
    async with stage.disk.full():
        await asyncio.sleep(random.uniform(2, 5))
    await asyncio.sleep(0.5)
    await stage.back("kafka", "postgres")
    return time.monotonic()


def clock(name: str, *steps: float) -> Inject:
    async def inject(stage: Stage, random: Random) -> float:
        running = await _running(stage, name)
        pid = running[random.choice(sorted(running))]
        async with stage.clock.stepped(pid, random.choice(steps)):
            await asyncio.sleep(random.uniform(2, 5))
        return time.monotonic()

    return inject


PUBLISH, SENT = kafka_request(PRODUCE), kafka_request(END_OF_TRANSACTION)

FAULTS: Final = (
    Fault("kill-ingress", INGRESS, send(signal.SIGKILL, "ingress")),
    Fault("kill-processor", RESTART, send(signal.SIGKILL, "processor")),
    Fault("kill-broker", BROKER, send(signal.SIGKILL, "kafka")),
    Fault("kill-postgres", POSTGRES, send(signal.SIGKILL, "postgres")),
    Fault("stop-ingress", INGRESS, sleep("ingress", 1, 4)),
    Fault("stop-processor", TAKEOVER, sleep("processor", 1, 3, 9)),
    Fault("stop-broker", BROKER, sleep("kafka", 1, 4, 9)),
    Fault("stop-postgres", POSTGRES, sleep("postgres", 1, 4)),
    Fault("term-ingress", INGRESS, send(signal.SIGTERM, "ingress")),
    Fault("term-processor", RESTART, send(signal.SIGTERM, "processor")),
    Fault("term-broker", BROKER, send(signal.SIGTERM, "kafka")),
    Fault("join-and-leave", TAKEOVER, join_and_leave),
    Fault("cut-broker", BROKER, line("kafka", lambda proxy, _: proxy.refusing(), 0.1, 3)),
    Fault("cut-postgres", POSTGRES, line("postgres", lambda proxy, _: proxy.refusing(), 0.1, 3)),
    Fault("stall-broker", BROKER, line("kafka", lambda proxy, _: proxy.stalled(), 1, 5)),
    Fault("stall-postgres", POSTGRES, line("postgres", lambda proxy, _: proxy.stalled(), 1, 5)),
    Fault("slow-broker", BROKER, line("kafka", lambda proxy, random: proxy.slow(random.uniform(0.05, 0.3)), 2, 4)),
    Fault(
        "slow-postgres", POSTGRES, line("postgres", lambda proxy, random: proxy.slow(random.uniform(0.02, 0.15)), 2, 4)
    ),
    Fault("in-publish", BROKER, moment("kafka", "client", PUBLISH, "cut before", "cut after", "stall")),
    Fault("in-event-transaction", BROKER, moment("kafka", "client", SENT, "cut before", "cut after", "stall")),
    Fault("in-transaction", POSTGRES, moment("postgres", "server", postgres_did("BEGIN"), "cut before", "stall")),
    Fault("in-commit", POSTGRES, moment("postgres", "server", postgres_did("COMMIT"), "cut before", "stall")),
    Fault("no-connections", POSTGRES, no_connections),
    Fault("read-only-postgres", POSTGRES, server_settings.read_only),
    Fault("absent-standby", POSTGRES, server_settings.absent_standby),
    Fault("foreign-large", FOREIGN, foreign.large_record),
    Fault("foreign-transaction", FOREIGN, foreign.transaction),
    Fault("false-notifications", FOREIGN, foreign.false_notifications),
    Fault("full-disk", BROKER, full_disk, "disk"),
    Fault("clock-ingress", INGRESS, clock("ingress", -60, -20, -7, 7, 20, 90), "clock"),
    Fault("clock-processor", INGRESS, clock("processor", -600, -20, 20, 600), "clock"),
    Fault("clock-broker", BROKER, clock("kafka", -600, -30, -8, 8, 30, 600), "clock"),
    Fault("clock-postgres", POSTGRES, clock("postgres", -600, -30, 30, 600), "clock"),
)
BY_NAME: Final = {fault.name: fault for fault in FAULTS}
