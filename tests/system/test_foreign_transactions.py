"""A foreign client's transactions on the commands topic: no marker is a gap, and one that hangs hides nothing."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from bitgo.client import BitGo, reserve_body
from schemas.records import encode_command, key_of
from schemas.topics import partition_of
from schemas.words import Kind
from service.kafka import commands_reader, reader
from tests.proof.conftest import checkpoint, prune, rebuild, verify
from tests.support.captures import capture, content, counts, load
from tests.support.foreign import add_nothing, append, batch, leave_open, transaction
from tests.support.servers import Servers
from tests.support.system import System, shared_system
from tests.system.test_dead_letters import command

HOME = 3


@dataclass
class Reached:
    """A system whose topics others can write to."""

    system: System
    bitgo: BitGo

    async def answers(self) -> None:
        """A reserve on the partition that others write to is applied, and nothing is wrong."""
        while partition_of(key_of((body := reserve_body(Kind.ALLOCATION))["allocationId"]), 8) != HOME:
            pass
        answer = await self.bitgo.reserve(Kind.ALLOCATION, body)
        assert (200, "reserved") == (answer.status, answer.body["status"])
        await self.system.caught_up()
        status, said = await self.system.readyz("processor-0")
        assert (200, {}) == (status, said.get("problems", {}))

    def parked(self) -> list[tuple[int, bytes | None, bytes | None]]:
        rows = self.system.rows('SELECT * FROM dead_letter WHERE partition = %s ORDER BY "offset"', HOME)
        assert {"not_a_command"} >= {row["reason"] for row in rows}
        return [(row["offset"], row["key"], row["value"]) for row in rows]


@pytest.fixture
async def reached(servers: Servers, template: str, tmp_path: Path) -> AsyncIterator[Reached]:
    async with shared_system(servers, template, tmp_path) as system:
        await system.processor(wait=False)
        bitgo = await system.ingress(wait=False, answer_timeout_seconds="5")
        for each in system.health:
            await system.ready(each)
        async with bitgo:
            yield Reached(system, bitgo)


@pytest.mark.parametrize("commit", [True, False])
async def test_a_transaction_is_parked_with_its_marker_and_the_partition_goes_on(
    reached: Reached, *, commit: bool
) -> None:
    system = reached.system
    async with transaction(system.kafka, commit=commit) as producer:
        await producer.send_and_wait(system.topics.commands, b"foreign", b"key", HOME)
    await reached.answers()
    [(offset, key, value), (behind, marker, _)] = reached.parked()
    assert (b"key", b"foreign", offset + 1) == (key, value, behind)
    assert bytes([0, 0, 0, commit]) == marker
    assert 1 == len(await system.records(system.topics.events, 1))
    assert {offset, behind} == {
        int(dict(record.headers)["dead-letter-position"].split(b"/")[2])
        for record in await system.records(system.topics.dead_letters, 2)
    }
    ran = await verify(system)
    assert ran.status == 0, ran


async def test_a_transaction_without_a_record_leaves_a_marker_that_is_parked(reached: Reached) -> None:
    async with transaction(reached.system.kafka, commit=True) as producer:
        await add_nothing(producer, reached.system.topics.commands, HOME)
    await reached.answers()
    assert 1 == len(reached.parked())


async def test_a_command_in_an_aborted_transaction_is_a_command(reached: Reached) -> None:
    """A transaction means nothing on this topic: whoever reads it at whatever time must find the same."""
    system, good = reached.system, command()
    key = key_of(good.allocation_id)
    async with transaction(system.kafka, commit=False) as producer:
        await producer.send_and_wait(system.topics.commands, encode_command(good), key, partition_of(key, 8))
    await system.caught_up()
    [row] = system.rows("SELECT outcome, reason FROM journal WHERE command_id = %s", good.command_id)
    assert ("refused", "not_found") == (row["outcome"], row["reason"])


async def test_given_markers_before_every_watermark_then_all_processes_start_again(reached: Reached) -> None:
    """The last record of each partition is compared with the journal, and a marker is one like others."""
    system = reached.system
    async with transaction(system.kafka, commit=True) as producer:
        for partition in range(8):
            await add_nothing(producer, system.topics.commands, partition)
    await system.caught_up()
    for name in ("processor-0", "ingress-0"):
        await system.supervisor.remove(name)
    await system.processor("processor-0")
    async with await system.ingress("ingress-1") as bitgo:
        assert (await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))).status == 200
    assert [] == [each for each in system.ended if each[1] == 78]


async def test_given_a_rewind_to_a_marker_then_it_is_read_again(reached: Reached) -> None:
    """The tables are put back to before the marker, as a restored backup is."""
    system = reached.system
    async with transaction(system.kafka, commit=True) as producer:
        await producer.send_and_wait(system.topics.commands, b"foreign", b"key", HOME)
    await system.caught_up()
    await system.supervisor.remove("processor-0")
    [(record, *_), (marker, *_)] = reached.parked()
    system.rows('DELETE FROM dead_letter WHERE partition = %s AND "offset" = %s RETURNING 1', HOME, marker)
    system.rows('DELETE FROM journal WHERE partition = %s AND "offset" = %s RETURNING 1', HOME, marker)
    system.rows(
        "UPDATE watermark SET next_offset = %s, hash = journal.hash FROM journal "
        'WHERE watermark.partition = journal.partition AND journal.partition = %s AND "offset" = %s RETURNING 1',
        *(marker, HOME, record),
    )
    await system.processor("processor-0")
    await system.caught_up()  # until then the ingress answers 503: these tables lack what it has seen
    await reached.answers()
    assert [record, marker] == [offset for offset, *_ in reached.parked()]


async def test_a_transaction_that_is_never_ended_hides_nothing(reached: Reached, tmp_path: Path) -> None:
    """Who reads committed sees the partition end there for a quarter of an hour; nobody of ours may."""
    system = reached.system
    where = TopicPartition(system.topics.commands, HOME)
    at = await leave_open(system.kafka, where.topic, where.partition, b"hangs")
    await reached.answers()
    async with reader(system.settings()) as committed, commands_reader(system.settings()) as ours:
        assert at == (await committed.end_offsets([where]))[where]
        assert at + 2 == (await ours.end_offsets([where]))[where]
    assert [(at, b"key", b"hangs")] == reached.parked()
    lag = f'processor_lag_records{{partition="{HOME}"}}'
    async with asyncio.timeout(10):
        while (await system.metrics("processor-0")).get(lag) != 0:
            await asyncio.sleep(0.1)
    for name in ("processor-0", "ingress-0"):
        await system.supervisor.remove(name)
    await system.processor("processor-0")
    async with await system.ingress("ingress-1") as bitgo:
        assert (await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))).status == 200
    await system.caught_up()
    ran = await verify(system)
    assert ran.status == 0, ran
    assert "hangs" in str([record.value for record in content(await _captured(system, tmp_path))[1]])


async def test_markers_are_verified_captured_passed_over_and_rebuilt(
    reached: Reached, servers: Servers, template: str, tmp_path: Path
) -> None:
    system = reached.system
    for commit in (True, False):
        async with transaction(system.kafka, commit=commit) as producer:
            await producer.send_and_wait(system.topics.commands, b"foreign", b"key", HOME)
        await reached.answers()
    await append(system.kafka, system.topics.commands, HOME, [batch((b"key", b"last", []))])
    await leave_open(system.kafka, system.topics.commands, HOME, b"hangs")
    await system.caught_up()
    assert 6 == len(reached.parked())
    _, records = content(file := await _captured(system, tmp_path))
    assert 8 == len(records)
    journal = system.rows('SELECT * FROM journal ORDER BY partition, "offset"')
    ran = await checkpoint(system, tmp_path / "checkpoint")
    assert ran.status == 0, ran
    ran = await prune(system, "--checkpoint", str(tmp_path / "checkpoint"))
    assert ran.status == 0, ran
    await system.supervisor.remove("processor-0")
    servers.execute(f"DROP DATABASE {system.database_url.rsplit('/', 1)[1]} (FORCE)")
    servers.execute(f"CREATE DATABASE {system.database_url.rsplit('/', 1)[1]} TEMPLATE {template}")
    ran = await rebuild(system)
    assert ran.status == 0, ran
    assert journal == system.rows('SELECT * FROM journal ORDER BY partition, "offset"')
    ran = await verify(system)
    assert ran.status == 0, ran
    ran = await load(system, file, "--rewrite-ids", "again")
    assert (0, 6) == (ran.status, counts(ran.out)[2]), ran


async def _captured(system: System, folder: Path) -> Path:
    ran = await capture(system, folder / "capture")
    assert ran.status == 0, ran
    return folder / "capture"
