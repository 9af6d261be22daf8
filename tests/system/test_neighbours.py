"""All that a clumsy neighbour can write to the commands topic: each is parked, and the partition goes on (decision 14).

One system for all; each case is followed by a reserve on the same partition. At the end processes start again on what
is there, and the tables are verified and rebuilt.
"""

import struct
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder

from bitgo.client import BitGo, reserve_body
from schemas.records import encode_command, key_of
from schemas.topics import partition_of
from schemas.words import Kind
from service.codecs import BATCH_MAX_BYTES
from tests.proof.conftest import rebuild, verify
from tests.support.foreign import (
    ATTRIBUTES_AT,
    CODECS,
    CRC_AT,
    GZIP,
    HEADER_BYTES,
    LZ4,
    RefusedError,
    add_nothing,
    append,
    batch,
    compressed,
    leave_open,
    sealed,
    transaction,
)
from tests.support.servers import Servers
from tests.support.system import System, shared_system
from tests.system.test_dead_letters import command

HOME = 3
JUNK = (b"key", b"junk", [])
FIRST_TIMESTAMP_AT, PRODUCER_ID_AT = 27, 43


@dataclass
class Reached:
    """A system whose topics others can write to."""

    system: System
    bitgo: BitGo

    async def append(self, *raws: bytes) -> None:
        await append(self.system.kafka, self.system.topics.commands, HOME, raws)

    async def answers(self) -> None:
        """A reserve on the partition that others write to is applied, published, and nothing is wrong."""
        await self.system.caught_up(100)
        while partition_of(key_of((body := reserve_body(Kind.ALLOCATION))["allocationId"]), 8) != HOME:
            pass
        answer = await self.bitgo.reserve(Kind.ALLOCATION, body)
        assert (200, "reserved") == (answer.status, answer.body["status"])
        await self.system.caught_up()
        status, said = await self.system.readyz("processor-0")
        assert (200, {}) == (status, said.get("problems", {}))

    def parked(self) -> dict[str, int]:
        rows = self.system.rows("SELECT reason, count(*) FROM dead_letter GROUP BY reason")
        return {row["reason"]: row["count"] for row in rows}


@pytest.fixture(scope="module")
async def reached(servers: Servers, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Reached]:
    async with shared_system(servers, template, tmp_path_factory.mktemp("neighbours")) as system:
        await system.processor(wait=False)
        bitgo = await system.ingress(wait=False, answer_timeout_seconds="15")
        for each in system.health:
            await system.ready(each)
        async with bitgo:
            yield Reached(system, bitgo)


async def nulls(found: Reached) -> None:
    await found.append(batch((None, None, []), (b"key", None, []), (None, b"value", []), (b"", b"", [])))


async def odd_names(found: Reached) -> None:
    names = [
        b"\xff\xfe name that is no text at all",
        b"\x00\x00 a name with zeros in it",
        "a näme of a ⚡ header".encode(),
    ]
    await found.append(batch((b"key", b"junk", [(name, None) for name in names])))


async def same_names(found: Reached) -> None:
    await found.append(batch((b"key", b"junk", [(b"traceparent is the name of this", b"\xff" * 100)] * 2)))


async def thousands_of_headers(found: Reached) -> None:
    await found.append(batch((b"key", b"junk", [(b"%05d a name of a header" % n, b"1") for n in range(10_000)])))


async def a_large_header(found: Reached) -> None:
    await found.append(compressed(batch((b"key", b"junk", [(b"a name of a foreign header", bytes(5_000_000))])), GZIP))


async def a_large_key(found: Reached) -> None:
    await found.append(compressed(batch((bytes(5_000_000), b"junk", [])), LZ4))


async def many_large_values(found: Reached) -> None:
    """Three hundred megabytes, on their way less than one."""
    await found.append(*[compressed(batch((b"key", bytes(7_500_000), [])), GZIP)] * 40)


async def twenty_thousand_tiny_records(found: Reached) -> None:
    await found.append(compressed(batch(*[(None, b"1", [])] * 20_000), GZIP))


async def every_codec(found: Reached) -> None:
    await found.append(*[compressed(batch(JUNK, JUNK), codec) for codec in CODECS])


async def nested_gzip(found: Reached) -> None:
    """A batch in a record's value, as a proxy may write it that takes one for the other."""
    inner = compressed(batch((b"key", bytes(BATCH_MAX_BYTES * 2), [])), GZIP)
    await found.append(compressed(batch((b"key", inner, [])), GZIP))


async def bombs(found: Reached) -> None:
    await found.append(*[compressed(batch(JUNK, (b"key", bytes(BATCH_MAX_BYTES), [])), codec) for codec in CODECS])


async def far_timestamps(found: Reached) -> None:
    for instant in (-1, 0, 2**62, -(2**62)):
        raw = bytearray(batch(JUNK))
        raw[FIRST_TIMESTAMP_AT : FIRST_TIMESTAMP_AT + 16] = struct.pack(">qq", instant, instant)
        await found.append(sealed(bytes(raw)))


async def wrong_offsets(found: Reached) -> None:
    """All records of an uncompressed batch say that they are its first."""
    raw = batch(JUNK, JUNK, JUNK)
    await found.append(
        sealed(raw.replace(b"\x00\x02\x06key", b"\x00\x00\x06key").replace(b"\x00\x04\x06key", b"\x00\x00\x06key"))
    )


async def odd_attributes_of_records(found: Reached) -> None:
    raw = bytearray(batch(JUNK))
    raw[HEADER_BYTES + 1] = 0xFF
    await found.append(sealed(bytes(raw)))


async def odd_attributes_of_batches(found: Reached) -> None:
    raw = bytearray(batch(JUNK))
    raw[ATTRIBUTES_AT] = 0x7F
    await found.append(sealed(bytes(raw)))


async def idempotent_of_other_epochs(found: Reached) -> None:
    for epoch, sequence in ((0, 0), (5, 0), (32_000, 0)):
        raw = bytearray(batch(JUNK))
        raw[PRODUCER_ID_AT : PRODUCER_ID_AT + 14] = struct.pack(">qhi", 7_000_000, epoch, sequence)
        await found.append(sealed(bytes(raw)))


async def transactions(found: Reached) -> None:
    for commit in (True, False):
        async with transaction(found.system.kafka, commit=commit) as producer:
            await producer.send_and_wait(found.system.topics.commands, b"junk", b"key", HOME)
    async with transaction(found.system.kafka, commit=True) as producer:
        await add_nothing(producer, found.system.topics.commands, HOME)


async def a_hanging_transaction(found: Reached) -> None:
    await leave_open(found.system.kafka, found.system.topics.commands, HOME, b"junk")


async def compressed_in_a_transaction(found: Reached) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=found.system.kafka, transactional_id=f"foreign-{uuid.uuid4()}", compression_type="zstd"
    )
    await producer.start()
    async with producer.transaction():
        for _ in range(3):
            await producer.send(found.system.topics.commands, bytes(900_000), b"key", HOME)
    await producer.stop()


async def our_key_elsewhere(found: Reached) -> None:
    while partition_of(key_of((misplaced := command()).allocation_id), 8) == HOME:
        pass
    await found.append(batch((key_of(misplaced.allocation_id), encode_command(misplaced), [])))


async def another_key(found: Reached) -> None:
    await found.append(batch((b"another", encode_command(command()), []), (None, encode_command(command()), [])))


async def large_json(found: Reached) -> None:
    document = b'{"schemaVersion": 1, "a": [' + b"1," * 30_000 + b"1]}"
    await found.append(batch(*[(b"key", document, [])] * 10), compressed(batch((b"key", document * 100, [])), GZIP))


Write = Callable[[Reached], Awaitable[None]]
CASES = [
    (nulls, {"not_a_command": 4}),
    (odd_names, {"not_a_command": 1}),
    (same_names, {"not_a_command": 1}),
    (thousands_of_headers, {"not_a_command": 1}),
    (a_large_header, {"not_a_command": 1}),
    (a_large_key, {"not_a_command": 1}),
    pytest.param(many_large_values, {"not_a_command": 40}, marks=pytest.mark.long),
    (twenty_thousand_tiny_records, {"not_a_command": 20_000}),
    (every_codec, {"not_a_command": 8}),
    (nested_gzip, {"not_a_command": 1}),
    (bombs, {"undecodable": 8}),
    (far_timestamps, {"not_a_command": 4}),
    (wrong_offsets, {"not_a_command": 1, "undecodable": 2}),
    (odd_attributes_of_records, {"undecodable": 1}),
    (odd_attributes_of_batches, {"not_a_command": 1}),
    (idempotent_of_other_epochs, {"not_a_command": 3}),
    (transactions, {"not_a_command": 5}),
    (a_hanging_transaction, {"not_a_command": 1}),
    (compressed_in_a_transaction, {"not_a_command": 4}),
    (our_key_elsewhere, {"wrong_partition": 1}),
    (another_key, {"key_is_not_its_id": 2}),
    (large_json, {"not_a_command": 11}),
]


@pytest.mark.parametrize(("write", "expected"), CASES, ids=lambda each: getattr(each, "__name__", ""))
async def test_what_a_neighbour_writes_is_parked_and_the_partition_goes_on(
    reached: Reached, write: Write, expected: dict[str, int]
) -> None:
    before = reached.parked()
    await write(reached)
    await reached.answers()
    after = reached.parked()
    assert expected == {name: after[name] - before.get(name, 0) for name in after if after[name] > before.get(name, 0)}


async def test_a_command_that_is_written_again_changes_nothing(reached: Reached) -> None:
    system = reached.system
    [row] = system.rows(
        'SELECT * FROM journal WHERE partition = %s AND event IS NOT NULL ORDER BY "offset" LIMIT 1', HOME
    )
    async with system.consumer("read_uncommitted") as consumer:
        where = TopicPartition(system.topics.commands, HOME)
        consumer.assign([where])
        consumer.seek(where, row["offset"])
        record = await consumer.getone()
    async with system.producer() as producer:
        for _ in range(2):
            await producer.send_and_wait(where.topic, record.value, record.key, HOME)
    await reached.answers()
    rows = system.rows("SELECT outcome, reason FROM journal WHERE command_id = %s", row["command_id"])
    again = [(each["outcome"], each["reason"]) for each in rows if each["outcome"] != "applied"]
    assert 2 == len(again)
    assert {("repeated", None), ("refused", "expired")} >= set(again)


@pytest.mark.parametrize("what", ["control batch", "unknown codec", "wrong checksum", "too many offsets", "old format"])
async def test_what_else_could_be_written_the_broker_refuses(reached: Reached, what: str) -> None:
    raw = bytearray(batch(JUNK, JUNK))
    if what == "control batch":
        raw[ATTRIBUTES_AT + 1] = 0x20
    elif what == "unknown codec":
        raw[ATTRIBUTES_AT + 1] = 0x05
    elif what == "too many offsets":
        raw[23:27] = struct.pack(">i", 1000)
    written = sealed(bytes(raw))
    if what == "wrong checksum":
        written = bytes(raw[:CRC_AT]) + bytes(4) + bytes(raw[ATTRIBUTES_AT:])
    elif what == "old format":
        old = LegacyRecordBatchBuilder(1, 0, 10_000)
        old.append(0, 0, b"key", b"junk")
        written = bytes(old.build())
    with pytest.raises(RefusedError):
        await reached.append(written)


@pytest.mark.long
async def test_all_of_it_is_published_verified_rebuilt_and_started_on(
    reached: Reached, servers: Servers, template: str
) -> None:
    """The last test: the processor is taken away."""
    system = reached.system
    [row] = system.rows("SELECT count(*) FROM dead_letter")
    await system.records(system.topics.dead_letters, row["count"], 120)
    await system.supervisor.remove("processor-0")
    await system.processor("processor-0")
    await reached.answers()
    ran = await verify(system)
    assert ran.status == 0, ran
    await system.supervisor.remove("processor-0")
    journal = system.rows('SELECT * FROM journal ORDER BY partition, "offset"')
    name = system.database_url.rsplit("/", 1)[1]
    servers.execute(f"DROP DATABASE {name} (FORCE)")
    servers.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    ran = await rebuild(system)
    assert ran.status == 0, ran
    assert journal == system.rows('SELECT * FROM journal ORDER BY partition, "offset"')
    assert [] == [each for each in system.ended if each[1] not in (0, -15)]
