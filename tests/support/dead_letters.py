"""Records that are no commands, or not where they belong, and the command that sees to them."""

import json
import uuid
from datetime import UTC, datetime
from typing import Any

from schemas.commands import FINISHES, RESERVES, Amount, Command, Edition
from schemas.records import encode_command, key_of
from schemas.topics import partition_of
from schemas.words import AfterFinal, Kind, Verb
from tests.support.cli import Ran, run
from tests.support.commands import stamps
from tests.support.system import System

PARTITIONS = 8


def reserve(allocation_id: str | None = None, received_at: datetime | None = None) -> Command:
    return RESERVES[Kind.ALLOCATION](
        **stamps(allocation_id or str(uuid.uuid4()), received_at or datetime.now(UTC)),
        amount=Amount(currency="BTC", quantity="5"),
        client_id=str(uuid.uuid4()),
        connection_id=str(uuid.uuid4()),
        partners_connection_id="account",
        edition=Edition(),
        after_final=AfterFinal.CONFLICT,
    )


def finish_of(command: Command, verb: Verb) -> Command:
    return FINISHES[command.kind, verb](**stamps(command.allocation_id, datetime.now(UTC)))


async def misplace(system: System, *commands: Command) -> list[tuple[int, int]]:
    """Publish commands on the partition beside their key's, and wait until they are parked; returns their places."""
    places = []
    async with system.producer() as producer:
        for command in commands:
            key = key_of(command.subject_id)
            wrong = (partition_of(key, PARTITIONS) + 1) % PARTITIONS
            headers = [("traceparent", b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01")]
            sent = await producer.send_and_wait(
                system.topics.commands, encode_command(command), key=key, partition=wrong, headers=headers
            )
            places.append((sent.partition, sent.offset))
    await system.caught_up()
    return places


async def junk(system: System, value: bytes | None, key: bytes = b"key") -> tuple[int, int]:
    async with system.producer() as producer:
        sent = await producer.send_and_wait(
            system.topics.commands, value, key=key, partition=3, headers=[("na\x1bme", b"\x1b[2J\xff")]
        )
    await system.caught_up()
    return sent.partition, sent.offset


async def letters(system: System, verb: str, *options: object) -> Ran:
    return await run("dead-letters", verb, *options, *servers(system, verb))


def servers(system: System, verb: str) -> list[str]:
    kafka = ["--kafka", system.kafka, "--prefix", system.prefix] if verb == "retry" else []
    return ["--postgres", system.database_url, *kafka]


async def listed(system: System, *options: object) -> list[dict[str, Any]]:
    ran = await letters(system, "list", "--json", *options)
    assert ran.status == 0, ran
    return [json.loads(line) for line in ran.out.splitlines()]


def rows_of(system: System, subject_id: str) -> list[tuple[str, str]]:
    return [
        (row["verb"], row["outcome"])
        for row in system.rows(
            'SELECT verb, outcome FROM journal WHERE subject_id = %s::uuid ORDER BY partition, "offset"',
            subject_id,
        )
    ]
