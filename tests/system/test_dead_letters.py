"""What is no command becomes a dead letter; what a newer version wrote halts its partition (decision 14)."""

import asyncio
import json
import random
import uuid
from datetime import UTC, datetime, timedelta

from bitgo.client import reserve_body
from schemas.commands import ClearAllocation
from schemas.records import encode_command, key_of
from schemas.topics import partition_of
from schemas.words import Kind
from tests.support.system import System

NASTY = [
    (b"key", b"\x00"),
    (None, b"\x00\xff" * 100),
    (b"\x00", b"{}"),
    (b"key", None),
    (b"key", b""),
    (b"key", b'{"schemaVersion": 1, "command": "ClearAllocation", "allocationId": "\\ud800"}'),
    (b"key", b'{"schemaVersion": ' + b"9" * 5000 + b"}"),
    (b"key", b"[" * 50_000),
    (b"key", json.dumps({"schemaVersion": 1, "amount": "9" * 10_000}).encode()),
]


def command(allocation_id: str | None = None) -> ClearAllocation:
    now = datetime.now(UTC)
    return ClearAllocation(
        command_id=str(uuid.uuid4()),
        allocation_id=allocation_id or str(uuid.uuid4()),
        received_at=now,
        deadline=now + timedelta(seconds=15),
    )


async def test_random_bytes_are_parked_and_the_partitions_go_on(system: System) -> None:
    await system.processor()
    seed = random.randrange(2**32)
    print("seed", seed)
    generator = random.Random(seed)
    sent = [*NASTY, *((generator.randbytes(16), generator.randbytes(generator.randrange(1, 3000))) for _ in range(100))]
    headers = [("traceparent", b"\xff\x00"), ("other", b"\x00"), ("", b"")]
    async with system.producer() as producer:
        for n, (key, value) in enumerate(sent):
            await producer.send_and_wait(
                system.topics.commands, value, key=key if value is not None else b"k", partition=n % 8, headers=headers
            )
    async with await system.ingress() as bitgo:
        for _ in range(16):
            assert (await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))).status == 200
    rows = system.rows("SELECT * FROM dead_letter")
    assert len(sent) == len(rows)
    assert {(key if value is not None else b"k", value) for key, value in sent} == {
        (row["key"], row["value"]) for row in rows
    }
    assert {"not_a_command"} == {row["reason"] for row in rows}
    assert [name.encode() for name, _ in headers] == rows[0]["header_names"]
    assert [value for _, value in headers] == rows[0]["header_values"]
    letters = await system.records(system.topics.dead_letters, len(sent))
    assert sorted((row["partition"], row["value"] or b"") for row in rows) == sorted(
        (letter.partition, letter.value or b"") for letter in letters
    )
    assert {"parked": len(sent), "applied": 16} == {
        row["outcome"]: row["count"] for row in system.rows("SELECT outcome, count(*) FROM journal GROUP BY 1")
    }


async def test_a_command_at_a_wrong_key_or_on_a_wrong_partition_is_parked(system: System) -> None:
    await system.processor()
    wrong_key, misplaced = command(), command()
    home = partition_of(key_of(misplaced.allocation_id), 8)
    other_key = key_of(str(uuid.uuid4()))
    async with system.producer() as producer:
        await producer.send_and_wait(
            system.topics.commands, encode_command(wrong_key), key=other_key, partition=partition_of(other_key, 8)
        )
        await producer.send_and_wait(
            system.topics.commands,
            encode_command(misplaced),
            key=key_of(misplaced.allocation_id),
            partition=(home + 1) % 8,
        )
    await system.caught_up()
    assert {"key_is_not_its_id", "wrong_partition"} == {
        row["reason"] for row in system.rows("SELECT reason FROM dead_letter")
    }
    assert 200 == (await system.readyz("processor-0"))[0]


async def test_a_newer_schema_version_halts_its_partition_and_the_others_go_on(system: System) -> None:
    await system.processor()
    key = key_of(str(uuid.uuid4()))
    halted = partition_of(key, 8)
    async with system.producer() as producer:
        at = await producer.send_and_wait(
            system.topics.commands, b'{"schemaVersion": 2, "news": true}', key=key, partition=halted
        )
    async with await system.ingress(answer_timeout_seconds="1") as bitgo:
        answers: dict[bool, set[tuple[int, str]]] = {True: set(), False: set()}
        for _ in range(300):  # one of eight is on the halted partition
            body = reserve_body(Kind.ALLOCATION)
            reply = await bitgo.reserve(Kind.ALLOCATION, body)
            on_halted = partition_of(key_of(body["allocationId"]), 8) == halted
            answers[on_halted].add((reply.status, reply.body.get("code") or reply.body["status"]))
            if answers[True] and answers[False]:
                break
    assert {True: {(503, "outcome_pending")}, False: {(200, "reserved")}} == answers

    status, document = await system.readyz("processor-0")
    reason = document["problems"][f"partition {halted}"]
    assert status == 503
    for part in (f"{system.topics.commands}/{halted}", f"offset {at.offset}", "schema version 2", "Start the version"):
        assert part in reason
    metrics = await system.metrics("processor-0")
    assert metrics[f'processor_partition_halted{{partition="{halted}"}}'] == 1
    assert "partition_halted" in system.log("processor-0").read_text()
    [row] = system.rows("SELECT next_offset FROM watermark WHERE partition = %s", halted)
    assert at.offset == row["next_offset"]


async def test_nothing_of_a_halted_partition_is_skipped_by_a_restart(system: System) -> None:
    await system.processor()
    key = key_of(str(uuid.uuid4()))
    async with system.producer() as producer:
        await producer.send_and_wait(
            system.topics.commands, b'{"schemaVersion": 2}', key=key, partition=partition_of(key, 8)
        )
    while (await system.readyz("processor-0"))[0] == 200:
        await asyncio.sleep(0.05)
    await system.supervisor.remove("processor-0")
    await system.processor(wait=False)
    async with asyncio.timeout(20):
        while "problems" not in (found := await system.readyz("processor-0"))[1] or not any(
            name.startswith("partition") for name in found[1]["problems"]
        ):
            await asyncio.sleep(0.1)
    assert [] == system.rows("SELECT 1 FROM journal")
