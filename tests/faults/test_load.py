"""A load meets a broker that dies, and one that never answers again."""

import asyncio
import uuid
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from schemas.commands import FINISHES
from schemas.records import encode_command, key_of
from schemas.topics import partition_of
from schemas.words import Kind, Verb
from tests.faults.conftest import Machine
from tests.support.cli import finish, run, start
from tests.support.commands import stamps
from tests.support.system import System

COMMANDS = 400


async def captured(system: System, file: Path) -> None:
    """Four commands for each of a hundred ids, in the log and in a file."""
    ids = [str(uuid.uuid4()) for _ in range(COMMANDS // 4)]
    async with system.producer() as producer:
        for n in range(COMMANDS):
            command = FINISHES[Kind.ALLOCATION, Verb.CLEAR](**stamps(ids[n % len(ids)], datetime.now(UTC)))
            key = key_of(command.allocation_id)
            await producer.send_and_wait(
                system.topics.commands, encode_command(command), key=key, partition=partition_of(key, 8)
            )
    ran = await run("capture", file, "--kafka", system.kafka, "--prefix", system.prefix)
    assert ran.status == 0, ran


def load(system: System, file: Path, *options: object) -> tuple[object, ...]:
    return ("load", file, "--kafka", system.kafka, "--prefix", system.prefix, "--rewrite-ids", "s", *options)


async def has_grown(system: System) -> None:
    """Until some of the load is in the log."""
    while len(await system.records(system.topics.commands, COMMANDS)) < COMMANDS + 20:
        await asyncio.sleep(0.05)


async def test_the_broker_is_killed_and_every_record_is_there_once_and_in_order(
    machine: Machine, fragile: System, tmp_path: Path
) -> None:
    await captured(fragile, tmp_path / "file")
    process = await start(*load(fragile, tmp_path / "file", "--rate", 80))
    await has_grown(fragile)
    await machine.kill("kafka")
    ran = await finish(process)
    assert ran.status == 0, ran
    assert f"acknowledged {COMMANDS}, not acknowledged 0" in ran.out
    records = await fragile.records(fragile.topics.commands, 2 * COMMANDS)
    first = {f"{fragile.topics.commands}/{each.partition}/{each.offset}": each for each in records if not each.headers}
    again = [each for each in records if each.headers]
    origins = [dict(each.headers)["replayed-from"].decode() for each in again]
    assert Counter(first.keys()) == Counter(origins)
    for key in {each.key for each in again}:
        offsets = [
            int(origin.rsplit("/", 1)[1]) for origin, each in zip(origins, again, strict=True) if each.key == key
        ]
        assert sorted(offsets) == offsets


async def test_a_broker_that_never_answers_again_is_given_up(machine: Machine, fragile: System, tmp_path: Path) -> None:
    await captured(fragile, tmp_path / "file")
    process = await start(*load(fragile, tmp_path / "file", "--rate", 80))
    await has_grown(fragile)
    async with machine.asleep("kafka"):
        ran = await finish(process)
    assert ran.status == 1
    assert "Kafka has acknowledged nothing for 30 s" in ran.out
    assert "not acknowledged 0" not in ran.out
