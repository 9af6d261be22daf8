"""What foreign clients of Kafka can append and aiokafka can not decode (decision 14): it stops nothing."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bitgo.client import BitGo, reserve_body
from replay.capture_file import reading
from schemas.records import encode_command, header_name_bytes, key_of
from schemas.topics import partition_of
from schemas.words import Kind
from service.codecs import BATCH_MAX_BYTES
from tests.fuzz.batch import framed
from tests.fuzz.run import CORPUS
from tests.support.cli import run
from tests.support.foreign import CODECS, HEADER_BYTES, SNAPPY, RefusedError, append, batch, compressed, sealed
from tests.support.servers import Servers
from tests.support.system import System, shared_system
from tests.system.test_dead_letters import command

NAME = b"a name that is no \xff\xfe text"


@dataclass
class Reached:
    """A system whose topics others can write to."""

    system: System
    bitgo: BitGo


@pytest.fixture(scope="module")
async def reached(servers: Servers, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Reached]:
    async with shared_system(servers, template, tmp_path_factory.mktemp("reached")) as system:
        await system.processor(wait=False)
        bitgo = await system.ingress(wait=False, answer_timeout_seconds="2")
        for each in system.health:
            await system.ready(each)
        async with bitgo:
            yield Reached(system, bitgo)


async def captured(system: System, folder: Path) -> Path:
    ran = await run("capture", folder / "capture", "--kafka", system.kafka, "--prefix", system.prefix)
    assert ran.status == 0, ran
    return folder / "capture"


async def test_a_header_whose_name_is_no_text_stops_nothing(reached: Reached, tmp_path: Path) -> None:
    """A command with it is applied; what is no command becomes a dead letter, with its bytes."""
    system, good = reached.system, command()
    home = partition_of(key_of(good.allocation_id), 8)
    with_it = (key_of(good.allocation_id), encode_command(good), [(NAME, b"1")])
    await append(system.kafka, system.topics.commands, home, [batch(with_it, (b"key", b"junk", [(NAME, b"\xff")]))])
    await append(system.kafka, system.topics.commands, (home + 1) % 8, [batch((b"key", None, [(NAME, None)]))])
    await system.caught_up()
    [letter, empty] = system.rows("SELECT * FROM dead_letter ORDER BY value NULLS LAST")
    assert (b"key", b"junk", [NAME], [b"\xff"]) == (
        letter["key"],
        letter["value"],
        letter["header_names"],
        letter["header_values"],
    )
    assert ([NAME], [None]) == (empty["header_names"], empty["header_values"])
    [row] = system.rows("SELECT outcome, reason FROM journal WHERE command_id = %s", good.command_id)
    assert ("refused", "not_found") == (row["outcome"], row["reason"])
    copied = await system.records(system.topics.dead_letters, 2)
    assert {"a name that is no \\xff\\xfe text"} == {record.headers[0][0] for record in copied}
    assert {b"\xff", None} == {record.headers[0][1] for record in copied}
    shown = await run("dead-letters", "show", home, letter["offset"], "--postgres", system.database_url)
    assert (0, True) == (shown.status, "text: \\xff" in shown.out), shown
    with reading(await captured(system, tmp_path)) as capture:
        names = {header_name_bytes(name) for record in capture for name, _ in record.headers}
    assert NAME in names


@pytest.mark.parametrize("name", ["found-a-key-longer-than-the-batch", "found-a-header-longer-than-the-batch"])
async def test_what_would_end_aiokafka_is_refused_by_the_broker(reached: Reached, name: str) -> None:
    """Its decoder in C reads beyond its buffer there; tests/fuzz/batch.py rests on this refusal."""
    raw = framed((CORPUS / "batch" / name).read_bytes())
    count = int.from_bytes(raw[HEADER_BYTES - 4 : HEADER_BYTES], "big")
    with_its_count = raw[:23] + (count - 1).to_bytes(4, "big") + raw[27:]
    with pytest.raises(RefusedError):
        await append(reached.system.kafka, reached.system.topics.commands, 0, [sealed(with_its_count)])


async def test_foreign_records_are_passed_over_by_the_start_checks_and_the_relay(reached: Reached) -> None:
    """The last command of a partition has such a header, and others have written behind our last event."""
    system, odd, body = reached.system, command(), reserve_body(Kind.ALLOCATION)
    await reached.bitgo.reserve(Kind.ALLOCATION, body)
    partition = partition_of(key_of(body["allocationId"]), 8)
    await system.records(system.topics.events, 1)
    key = key_of(odd.allocation_id)
    last = batch((key, encode_command(odd), [(NAME, b"1")]))
    await append(system.kafka, system.topics.commands, partition_of(key, 8), [last])
    await system.caught_up()
    await system.supervisor.remove("processor-0")
    foreign = [
        batch((None, None, [])),
        batch((b"key", b"junk", [(NAME, b"1")])),
        compressed(batch((b"key", b"junk", [])), SNAPPY),
    ]
    await append(system.kafka, system.topics.events, partition, foreign * 5)
    async with system.producer() as producer:
        await producer.send_and_wait(system.topics.events, b"", partition=partition, headers=[("ce_id", b"a/b/c")])
    await system.processor()
    cleared = await reached.bitgo.clear(Kind.ALLOCATION, body["allocationId"])
    assert (200, "cleared") == (cleared.status, cleared.body["status"])
    found = await system.records(system.topics.events, 18)
    ours = [record for record in found if dict(record.headers).get("ce_subject") == body["allocationId"].encode()]
    assert [b"allocations.AllocationReserved", b"allocations.AllocationCleared"] == [
        dict(record.headers)["ce_type"] for record in ours
    ]


async def test_a_batch_of_every_codec_is_read(reached: Reached) -> None:
    """Of what a foreign client compressed, too, a command is a command."""
    system = reached.system
    for codec in CODECS:
        good = command()
        key = key_of(good.allocation_id)
        packed = compressed(batch((key, encode_command(good), [])), codec)
        await append(system.kafka, system.topics.commands, partition_of(key, 8), [packed])
        await system.caught_up()
        [row] = system.rows("SELECT outcome, reason FROM journal WHERE command_id = %s", good.command_id)
        assert ("refused", "not_found") == (row["outcome"], row["reason"])


@pytest.mark.parametrize("codec", CODECS)
async def test_given_a_bomb_then_each_of_its_offsets_is_parked_and_the_partition_goes_on(
    reached: Reached, codec: int, tmp_path: Path
) -> None:
    system, body = reached.system, reserve_body(Kind.ALLOCATION)
    partition = partition_of(key_of(body["allocationId"]), 8)
    bomb = compressed(batch((b"key", b"1", []), (b"key", bytes(BATCH_MAX_BYTES), []), (b"key", b"3", [])), codec)
    first = await append(system.kafka, system.topics.commands, partition, [bomb])
    answer = await reached.bitgo.reserve(Kind.ALLOCATION, body)
    assert (200, "reserved") == (answer.status, answer.body["status"])
    rows = system.rows(
        'SELECT * FROM dead_letter WHERE partition = %s AND "offset" >= %s ORDER BY "offset"', partition, first
    )
    assert [first, first + 1, first + 2] == [row["offset"] for row in rows]
    assert [("undecodable", None)] * 3 == [(row["reason"], row["key"]) for row in rows]
    assert [bomb[61:], None, None] == [row["value"] and row["value"][61:] for row in rows]
    shown = await run("dead-letters", "show", partition, first, "--postgres", system.database_url)
    assert (0, True) == (shown.status, "undecodable" in shown.out), shown
    with reading(await captured(system, tmp_path)) as capture:
        found = {record.offset: record.value for record in capture if record.partition == partition}
    assert [rows[0]["value"], None, None] == [found[first + n] for n in range(3)]
