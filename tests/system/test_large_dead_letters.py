"""Dead letters that the topic does not take: a stub stands for them there, and events travel apart (decision 16)."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from bitgo.client import BitGo, reserve_body
from schemas.words import Kind
from service.kafka import admin
from tests.proof.conftest import checkpoint, prune, verify
from tests.support.dead_letters import letters
from tests.support.foreign import GZIP, append, batch, compressed
from tests.support.servers import Servers
from tests.support.system import System, shared_system

LARGE = b"large " * 500_000
"""Three megabytes, and a few kilobytes on their way to the commands topic."""
HOME = 2


@dataclass
class Reached:
    """A system whose topics others can write to."""

    system: System
    bitgo: BitGo

    async def parked(self, *record: Any) -> int:
        """A foreign record, compressed; gives its offset when it is parked."""
        offset = await append(
            self.system.kafka, self.system.topics.commands, HOME, [compressed(batch(tuple(record)), GZIP)]
        )
        await self.system.caught_up()
        return offset

    async def event_is_published(self) -> None:
        body = reserve_body(Kind.ALLOCATION)
        answer = await self.bitgo.reserve(Kind.ALLOCATION, body)
        assert (200, "reserved") == (answer.status, answer.body["status"])
        async with asyncio.timeout(10):
            while body["allocationId"].encode() not in {
                each.key for each in await self._read(self.system.topics.events)
            }:
                pass

    async def dead_letter(self, offset: int) -> ConsumerRecord:
        """What is published for the dead letter, within half a minute."""
        async with asyncio.timeout(30):
            while True:
                for each in await self._read(self.system.topics.dead_letters):
                    if dict(each.headers)["dead-letter-position"].endswith(f"/{HOME}/{offset}".encode()):
                        return each

    async def _read(self, topic: str) -> list[ConsumerRecord]:
        return await self.system.records(topic, 0)

    async def set_limit(self, limit: int) -> None:
        async with admin(self.system.settings()) as client:
            resource = ConfigResource(
                ConfigResourceType.TOPIC,
                self.system.topics.dead_letters,
                {"max.message.bytes": str(limit), "cleanup.policy": "delete", "retention.ms": "-1"},
            )
            answers = await client.alter_configs([resource])
            assert [0] == [each[0] for answer in answers for each in answer.resources], answers


@pytest.fixture(scope="module")
async def reached(servers: Servers, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Reached]:
    async with shared_system(servers, template, tmp_path_factory.mktemp("large")) as system:
        await system.processor(wait=False)
        bitgo = await system.ingress(wait=False, answer_timeout_seconds="5")
        for each in system.health:
            await system.ready(each)
        async with bitgo:
            yield Reached(system, bitgo)


@pytest.mark.parametrize(
    ("key", "value", "headers"),
    [
        (b"key", None, [(b"a name of a foreign header", LARGE)]),
        (LARGE, b"value", []),
        (None, None, [(b"%05d a name of a foreign header" % n, b"content" * 10) for n in range(10_000)]),
        (b"key", b"value", [(b"\xff" * 250_000, b"1")]),
    ],
    ids=["a header", "key", "many headers", "a name that is escaped"],
)
async def test_what_is_large_besides_the_value_is_left_out_of_the_stub(
    reached: Reached, key: bytes | None, value: bytes | None, headers: list[tuple[bytes, bytes]]
) -> None:
    offset = await reached.parked(key, value, headers)
    await reached.event_is_published()
    stub = await reached.dead_letter(offset)
    assert (key if key == b"key" else None, None) == (stub.key, stub.value)
    found = dict(stub.headers)
    assert b"too large" == found["dead-letter-stub"]
    assert (value and str(len(value)).encode()) == found.get("dead-letter-value-bytes")
    ran = await verify(reached.system)
    assert ran.status == 0, ran


async def test_what_fits_is_copied_with_every_byte(reached: Reached) -> None:
    value = LARGE[:700_000]
    copy = await reached.dead_letter(await reached.parked(b"key", value, [(b"a name of a foreign header", b"1")]))
    assert (b"key", value, b"1") == (copy.key, copy.value, dict(copy.headers)["a name of a foreign header"])


async def test_given_a_topic_that_takes_less_than_others_then_its_limit_counts(reached: Reached) -> None:
    await reached.set_limit(20_000)
    offset = await reached.parked(b"key", LARGE[:100_000], [])
    await reached.event_is_published()
    assert b"too large" == dict((await reached.dead_letter(offset)).headers)["dead-letter-stub"]
    assert ("processor-0", 1) not in reached.system.ended
    await reached.set_limit(1_000_000)


async def test_given_dead_letters_that_can_not_be_published_then_events_are_and_it_is_said(reached: Reached) -> None:
    system = reached.system
    await reached.set_limit(100)
    offset = await reached.parked(b"key", b"junk", [])
    async with asyncio.timeout(20):
        while "dead letters" not in (await system.readyz("processor-0"))[1].get("problems", {}):
            await asyncio.sleep(0.1)
    before = await _ends(system)
    await asyncio.sleep(3)
    assert before == await _ends(system)
    await reached.event_is_published()
    await reached.set_limit(1_000_000)
    copy = await reached.dead_letter(offset)
    assert b"junk" == copy.value or b"too large" == dict(copy.headers)["dead-letter-stub"], "as the limit was read last"
    await system.ready("processor-0")
    assert [] == system.ended


@pytest.mark.long
async def test_a_record_that_is_too_large_for_the_topic_is_published_as_a_stub(
    reached: Reached, tmp_path: Path
) -> None:
    system = reached.system
    offset = await reached.parked(b"key", LARGE, [(b"a name of a foreign header", b"1")])
    await reached.event_is_published()
    stub = await reached.dead_letter(offset)
    assert (b"key", None) == (stub.key, stub.value)
    assert {
        "dead-letter-position": f"{system.topics.commands}/{HOME}/{offset}".encode(),
        "dead-letter-reason": b"not_a_command",
        "dead-letter-stub": b"too large",
        "dead-letter-value-bytes": str(len(LARGE)).encode(),
        "dead-letter-value-sha256": hashlib.sha256(LARGE).hexdigest().encode(),
    } == dict(stub.headers)
    ran = await letters(system, "show", HOME, offset, "--save", tmp_path / "value")
    assert (0, LARGE) == (ran.status, (tmp_path / "value").read_bytes()), ran
    ran = await verify(system)
    assert ran.status == 0, ran
    ran = await letters(system, "retry", HOME, offset)
    assert (3, True) == (ran.status, "no command" in ran.err), ran
    ran = await letters(system, "discard", HOME, offset, "--reason", "junk")
    assert ran.status == 0, ran
    await reached.parked(b"key", b"small", [])
    ran = await checkpoint(system, tmp_path / "checkpoint")
    assert ran.status == 0, ran
    ran = await prune(system, "--checkpoint", str(tmp_path / "checkpoint"))
    assert ran.status == 0, ran
    assert [] == system.rows('SELECT 1 FROM dead_letter WHERE "offset" = %s AND partition = %s', offset, HOME)
    ran = await verify(system, "--checkpoint", str(tmp_path / "checkpoint"))
    assert ran.status == 0, ran


async def _ends(system: System) -> dict[TopicPartition, int]:
    """Where the events topic ends, markers included."""
    where = [TopicPartition(system.topics.events, partition) for partition in range(system.partitions)]
    async with system.consumer("read_uncommitted") as consumer:
        found: dict[TopicPartition, int] = await consumer.end_offsets(where)
        return found
