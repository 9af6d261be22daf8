"""One filled and stopped system for all tests of this folder; each test damages a copy of its database."""

import asyncio
import json
import random
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from schemas.records import encode_command, key_of
from schemas.topics import partition_of
from schemas.words import Verb
from tests.support.cli import Ran, run
from tests.support.history import LIMITED, TRADERS, History, publish
from tests.support.published import Published, by_partition
from tests.support.servers import Servers
from tests.support.system import System, running_system

COMMANDS = 1200
FEW_COMMANDS = 300
PUBLISHED_COMMANDS = 2 * TRADERS + FEW_COMMANDS
PORTION = 20
HALF = 300
DISCARDED, OPEN = 0, 1
"""Offsets of two dead letters on the partition 0 of `halfway`."""
LIMITS = f'{{"{LIMITED}": "100"}}'


def servers_of(system: System) -> tuple[str, ...]:
    return ("--kafka", system.kafka, "--postgres", system.database_url, "--topic-prefix", system.prefix)


async def verify(system: System, *options: str) -> Ran:
    return await run("verify", *servers_of(system), *options)


async def rebuild(system: System, *options: str, **environment: str) -> Ran:
    return await run("rebuild", *servers_of(system), *options, **{"PROCESSOR_CONNECTIONS": "open"} | environment)


async def checkpoint(system: System, file: Path) -> Ran:
    return await run("checkpoint", file, *servers_of(system))


async def prune(system: System, *options: str) -> Ran:
    return await run("prune", *servers_of(system), *options)


def differences(ran: Ran) -> list[str]:
    """The lines that name a difference; the last two count."""
    return ran.out.splitlines()[:-2]


async def sent(system: System, commands: int, history: History | None = None) -> None:
    """Publish the next commands of a history, and wait until they are applied."""
    async with system.producer() as producer:
        await publish(producer, system.topics, system.partitions, history or new_history(), commands)
    await system.caught_up(60)


def new_history(accounts: int = 30, *, opened: bool = False) -> History:
    seed = random.randrange(2**32)
    print("seed", seed)
    return History(random.Random(seed), accounts, platform=True, opened=opened)


async def filled(
    system: System, *portions: int, accounts: int = 30, second: str = "open", opened: bool = False
) -> None:
    """Let two processors apply a history, portion by portion, publish its events, and stop.

    `second`: whether the second of them wants connections registered.
    """
    history = new_history(accounts, opened=opened)
    for number, connections in enumerate(("open", second)):
        await system.processor(f"processor-{number}", wait=False, limits=LIMITS, connections=connections)
    for number in range(2):
        await system.ready(f"processor-{number}")
    for commands in portions:
        await sent(system, commands, history)
    [events] = system.rows("SELECT count(*) FROM journal WHERE event IS NOT NULL")
    await system.records(system.topics.events, events["count"], 30)
    await note_heads(system)
    for number in range(2):
        await system.supervisor.remove(f"processor-{number}")


def noted(system: System) -> str:
    """The file with what /readyz said last."""
    return str(system.folder / "heads.json")


async def note_heads(system: System) -> None:
    """Keep what a processor's /readyz says, when it says how the tables are now."""
    expected = {
        str(row["partition"]): {"offset": row["next_offset"] - 1, "hash": row["hash"].hex()}
        for row in system.rows("SELECT * FROM watermark WHERE next_offset > 0")
    }
    async with asyncio.timeout(10):
        while (answer := (await system.readyz("processor-0"))[1]).get("heads") != expected:
            await asyncio.sleep(0.1)
    await asyncio.to_thread(Path(noted(system)).write_text, json.dumps(answer))


@pytest.fixture(scope="session")
async def whole(servers: Servers, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """A system whose processors have stopped; nobody changes it."""
    name = f"whole_{uuid.uuid4().hex}"
    servers.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    async with running_system(servers, servers.database_url(name), tmp_path_factory.mktemp("whole")) as system:
        await filled(system, COMMANDS, second="registered")
        yield system


@pytest.fixture(scope="session")
async def published(
    servers: Servers, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Published]:
    """Another one, smaller, whose partitions took turns on the accounts; each test makes its events topic anew.

    Its connections have all their accounts from the beginning: an activation that was never published can not be told
    from one that came before an account that it would read.
    """
    name = f"published_{uuid.uuid4().hex}"
    servers.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    folder = tmp_path_factory.mktemp("published")
    async with running_system(servers, servers.database_url(name), folder, partitions=2) as system:
        portions = [TRADERS, TRADERS, *[PORTION] * (FEW_COMMANDS // PORTION)]
        await filled(system, *portions, accounts=2, opened=True)
        yield Published(system, by_partition(await system.records(system.topics.events, 0)))


@contextmanager
def on_database(servers: Servers, system: System, folder: Path, template: str | None = None) -> Iterator[System]:
    """The same log with a copy of the tables, or with those of a template; without processes."""
    name = f"copy_{uuid.uuid4().hex}"
    servers.execute(f"CREATE DATABASE {name} TEMPLATE {template or system.database_url.rsplit('/', 1)[1]}")
    url = servers.database_url(name)
    yield System(system.kafka, url, system.prefix, folder, system.supervisor, system.partitions)
    servers.drop(name)


@pytest.fixture
def copy(servers: Servers, whole: System, tmp_path: Path) -> Iterator[System]:
    """The whole system's log with a copy of its tables, to be damaged."""
    with on_database(servers, whole, tmp_path) as system:
        yield system


@pytest.fixture
def empty(servers: Servers, whole: System, template: str, tmp_path: Path) -> Iterator[System]:
    """The whole system's log with an empty database."""
    with on_database(servers, whole, tmp_path, template) as system:
        yield system


@dataclass
class Halfway:
    """A stopped system, and a checkpoint of when half of its log was applied, while it was at work."""

    system: System
    file: Path
    next_offsets: dict[int, int]

    @property
    def option(self) -> tuple[str, str]:
        return "--checkpoint", str(self.file)


@pytest.fixture(scope="module")
async def halfway(servers: Servers, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Halfway]:
    """For one file: the last test of test_prune.py shortens the log."""
    name = f"halfway_{uuid.uuid4().hex}"
    servers.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    folder = tmp_path_factory.mktemp("halfway")
    async with running_system(servers, servers.database_url(name), folder, partitions=3) as system:
        await system.processor(limits=LIMITS)
        async with system.producer() as producer:
            for _ in (DISCARDED, OPEN):
                await producer.send_and_wait(system.topics.commands, b"\x00junk", b"key", 0)
        history = new_history()
        await sent(system, HALF, history)
        discarded = await run(
            "dead-letters", "discard", 0, DISCARDED, "--reason", "none", "--postgres", system.database_url
        )
        assert discarded.status == 0, discarded
        file = folder / "halfway.checkpoint"
        ran = await checkpoint(system, file)
        assert (0, "") == (ran.status, ran.err), ran
        marks = {row["partition"]: row["next_offset"] for row in system.rows("SELECT * FROM watermark")}
        await sent(system, HALF - 1, history)
        await send_refused(system, history)
        [events] = system.rows("SELECT count(*) FROM journal WHERE event IS NOT NULL")
        await system.records(system.topics.events, events["count"], 30)
        await system.supervisor.remove("processor-0")
        yield Halfway(system, file, marks)


async def send_refused(system: System, history: History) -> None:
    """A command that changes nothing: its partition's last journal row has no event."""
    command = history._finish(history._reserve(), Verb.CLEAR)
    key = key_of(command.subject_id)
    async with system.producer() as producer:
        await producer.send_and_wait(
            system.topics.commands, encode_command(command), key, partition_of(key, system.partitions)
        )
    await system.caught_up()


@pytest.fixture
def half_copy(servers: Servers, halfway: Halfway, tmp_path: Path) -> Iterator[System]:
    """Its log with a copy of its tables, to be damaged."""
    with on_database(servers, halfway.system, tmp_path) as system:
        yield system
