"""What can happen to one broker of three, or to two. Each gives the time to count from, as in the catalogue.

One broker is counted from the moment it was hurt, because the other two can answer without it; two are counted from
the moment when they are back. Each fault ends with a cluster that is whole again, so that the next finds one.
"""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from random import Random
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import CoordinationType
from aiokafka.errors import KafkaError

from service.settings import DEFAULT_GROUP_ID
from tests.faults.run.fault import BROKER, ONE_OF_THREE, Fault, Inject
from tests.faults.run.stage import Stage

GONE_SECONDS: Final = 12.0
WHOLE_SECONDS: Final = 90
RELAY: Final = "allocations-relay"

Role = Callable[[Stage, Random], Awaitable[str]]
"""Gives the name of the broker that has it at present."""


async def any_broker(stage: Stage, random: Random) -> str:
    return random.choice(sorted(stage.nodes()))


async def transaction_coordinator(stage: Stage, _random: Random) -> str:
    """Of the transactional id under which the relay publishes events."""
    return await _coordinator(stage, CoordinationType.TRANSACTION, RELAY)


async def group_coordinator(stage: Stage, _random: Random) -> str:
    """Of the group of the processors."""
    return await _coordinator(stage, CoordinationType.GROUP, DEFAULT_GROUP_ID)


async def _coordinator(stage: Stage, kind: CoordinationType, key: str) -> str:
    """Asked again while the other fault of a pair keeps the broker from answering that would know."""
    while True:
        with suppress(KafkaError, TimeoutError):
            return await _asked(stage, kind, key)
        await asyncio.sleep(0.2)


async def _asked(stage: Stage, kind: CoordinationType, key: str) -> str:
    client = AIOKafkaAdminClient(bootstrap_servers=stage.kafka.bootstrap)
    try:
        await client.start()
        return f"kafka-{await client._client.coordinator_lookup(kind, key)}"
    finally:
        await client.close()


def kill(role: Role, number: signal.Signals = signal.SIGKILL) -> Inject:
    async def inject(stage: Stage, random: Random) -> float:
        name = await role(stage, random)
        pid, at = stage.supervisor.pids()[name], time.monotonic()
        os.kill(pid, number)
        await stage.supervisor.restarted(name, pid)
        await stage.kafka.wait_ready(WHOLE_SECONDS)
        return at

    return inject


def sleep(role: Role, *seconds: float) -> Inject:
    async def inject(stage: Stage, random: Random) -> float:
        name, at = await role(stage, random), time.monotonic()
        await _asleep(stage, [name], random.choice(seconds))
        return at

    return inject


async def _asleep(stage: Stage, names: Collection[str], seconds: float) -> None:
    pids = [stage.supervisor.pids()[name] for name in names]
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(seconds)
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    await stage.kafka.wait_ready(WHOLE_SECONDS)


def lose(role: Role) -> Inject:
    """Killed, and its disk with it; another takes its number, with nothing, after some time."""

    async def inject(stage: Stage, random: Random) -> float:
        name, at = await role(stage, random), time.monotonic()
        await stage.supervisor.remove(name)
        await asyncio.to_thread(shutil.rmtree, stage.nodes()[name].folder / "data")
        await asyncio.sleep(GONE_SECONDS)
        await stage.format_broker(name)
        stage.start_broker(name)
        await stage.kafka.wait_ready(WHOLE_SECONDS)
        return at

    return inject


async def kill_two(stage: Stage, random: Random) -> float:
    names = random.sample(sorted(stage.nodes()), 2)
    await asyncio.gather(*(stage.supervisor.remove(name) for name in names))
    await asyncio.sleep(random.uniform(3, 6))
    for name in names:
        stage.start_broker(name)
    await stage.kafka.wait_ready(WHOLE_SECONDS)
    return time.monotonic()


async def stop_two(stage: Stage, random: Random) -> float:
    await _asleep(stage, random.sample(sorted(stage.nodes()), 2), random.uniform(3, 6))
    return time.monotonic()


async def cut_one(stage: Stage, random: Random) -> float:
    """The others reach it and its partitions stay with it; no client does."""
    async with random.choice(stage.kafka_proxies).refusing():
        await asyncio.sleep(random.uniform(2, 5))
    return time.monotonic()


BROKER_FAULTS: Final = (
    Fault("kill-a-broker", ONE_OF_THREE, kill(any_broker)),
    Fault("kill-transaction-coordinator", ONE_OF_THREE, kill(transaction_coordinator)),
    Fault("kill-group-coordinator", ONE_OF_THREE, kill(group_coordinator)),
    Fault("term-a-broker", ONE_OF_THREE, kill(any_broker, signal.SIGTERM)),
    Fault("stop-a-broker", ONE_OF_THREE, sleep(any_broker, 1, 5, 15)),
    Fault("stop-transaction-coordinator", ONE_OF_THREE, sleep(transaction_coordinator, 5, 15)),
    Fault("stop-group-coordinator", ONE_OF_THREE, sleep(group_coordinator, 5, 15)),
    Fault("lose-a-broker", ONE_OF_THREE, lose(any_broker)),
    Fault("lose-transaction-coordinator", ONE_OF_THREE, lose(transaction_coordinator)),
    Fault("lose-group-coordinator", ONE_OF_THREE, lose(group_coordinator)),
    Fault("kill-two-brokers", BROKER, kill_two),
    Fault("stop-two-brokers", BROKER, stop_two),
    Fault("cut-a-broker", BROKER, cut_one),
)
"""For a run with three brokers."""
