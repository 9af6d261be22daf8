"""`allocations prune`: from a checkpoint on, verifying and rebuilding need nothing from before."""

import asyncio
import signal
import uuid
from pathlib import Path

import psycopg
import pytest
from aiokafka import TopicPartition

from bitgo.client import BitGo, reserve_body
from proof.checkpoint.file import Mark, reading
from schemas.words import Kind
from service.errors import EXIT_OPERATOR
from tests.proof.conftest import (
    LIMITS,
    OPEN,
    Halfway,
    checkpoint,
    differences,
    on_database,
    prune,
    rebuild,
    sent,
    servers_of,
    verify,
)
from tests.proof.test_checkpoint_file import Steps
from tests.proof.test_rebuild import contents
from tests.support.cli import finish, run, start
from tests.support.servers import Servers
from tests.support.system import System

ASYNC = {"Prefer": "respond-async"}


@pytest.mark.long
async def test_a_prune_that_was_killed_is_run_again(half_copy: System, halfway: Halfway) -> None:
    """And what is left is enough to verify, and to go on with a rebuild."""
    begun = ("begun", "me", uuid.uuid4(), uuid.uuid4())
    half_copy.rows(
        'INSERT INTO dead_letter_action (partition, "offset", attempt, state, taken_by, command_id, subject_id, '
        "deadline, retried_partition, log_end) VALUES (0, 1, 1, %s, %s, %s, %s, now(), 1, 5) RETURNING 1",
        *begun,
    )
    ran = await prune(half_copy, *halfway.option)
    assert (EXIT_OPERATOR, "") == (ran.status, ran.out)
    assert "allocations dead-letters retry 0 1" in ran.err
    half_copy.rows("DELETE FROM dead_letter_action WHERE state = 'begun' RETURNING 1")
    await killed_prune(half_copy, halfway)
    [left] = half_copy.rows("SELECT count(*) FROM journal WHERE partition = 2")
    assert left["count"] == half_copy.rows("SELECT next_offset FROM watermark WHERE partition = 2")[0]["next_offset"]
    ran = await prune(half_copy, *halfway.option)
    assert (0, "") == (ran.status, ran.err), ran
    assert (
        f"{half_copy.topics.commands}/2: {halfway.next_offsets[2] - 1} journal rows deleted; records before offset "
        in ran.out
    )
    assert only_what_is_needed(half_copy, halfway)
    for ran in (await verify(half_copy), await rebuild(half_copy, "--resume")):
        assert (EXIT_OPERATOR, "") == (ran.status, ran.out)
        assert "name the checkpoint" in ran.err
    ran = await rebuild(half_copy, "--resume", *halfway.option)
    assert 0 == ran.status, ran
    ran = await verify(half_copy, *halfway.option)
    assert (0, []) == (ran.status, differences(ran)), ran


async def killed_prune(system: System, halfway: Halfway) -> None:
    """At the third partition, whose first row somebody holds."""
    with psycopg.connect(system.database_url) as holder:
        holder.execute('SELECT FROM journal WHERE partition = 2 AND "offset" = 0 FOR UPDATE')
        process = await start("prune", *servers_of(system), *halfway.option)
        async with asyncio.timeout(20):
            while not system.rows(
                "SELECT 1 FROM pg_stat_activity WHERE application_name = 'allocations-prune' "
                "AND wait_event_type = 'Lock' AND datname = current_database()"
            ):
                await asyncio.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        await finish(process)
        system.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'allocations-prune' AND datname = current_database()"
        )


def only_what_is_needed(system: System, halfway: Halfway) -> bool:
    """Before the checkpoint: the last rows, and the open dead letter's."""
    before = " OR ".join(
        f'partition = {partition} AND "offset" < {offset}' for partition, offset in halfway.next_offsets.items()
    )
    journal = system.rows(f'SELECT partition, "offset" FROM journal WHERE {before} ORDER BY 1, 2')  # noqa: S608
    lasts = [(partition, offset - 1) for partition, offset in halfway.next_offsets.items()]
    assert sorted([(0, OPEN), *lasts]) == [(row["partition"], row["offset"]) for row in journal]
    letters = system.rows(f'SELECT partition, "offset" FROM dead_letter WHERE {before}')  # noqa: S608
    assert [{"partition": 0, "offset": OPEN}] == letters
    assert len(system.rows(f"SELECT 1 FROM ledger WHERE {before}")) <= len(lasts)  # noqa: S608
    return True


async def test_the_beginning_is_deleted_and_all_goes_on_and_can_be_rebuilt(
    halfway: Halfway, servers: Servers, template: str, tmp_path: Path
) -> None:
    """The last test of `halfway`: it shortens the log."""
    system = halfway.system
    await system.processor(limits=LIMITS)
    async with await system.ingress() as bitgo:
        location = await applied_at(bitgo)
        later = tmp_path / "later.checkpoint"
        ran = await checkpoint(system, later)
        assert ran.status == 0, ran
        ran, _ = await asyncio.gather(prune(system, "--checkpoint", str(later), "--log"), sent(system, 50))
        assert (0, "") == (ran.status, ran.err), ran
        assert all("the log starts at offset" in line for line in ran.out.splitlines())
        await answers_truthfully(bitgo, location)
        await restarted(system, bitgo)
    await dead_letters_and_captures(system, tmp_path / "capture", later)
    assert await log_starts(system) == {partition: mark.next_offset - 1 for partition, mark in marks_of(later).items()}
    ran = await verify(system, "--checkpoint", str(later))
    assert (0, []) == (ran.status, differences(ran)), ran
    ran = await verify(system, *halfway.option)
    assert (EXIT_OPERATOR, "") == (ran.status, ran.out)
    assert "name the later checkpoint" in ran.err
    await system.supervisor.remove("processor-0")
    with on_database(servers, system, tmp_path, template) as rebuilt:
        ran = await rebuild(rebuilt)
        assert (EXIT_OPERATOR, "") == (ran.status, ran.out)
        assert "name the checkpoint" in ran.err
        ran = await rebuild(rebuilt, "--checkpoint", str(later), PROCESSOR_LIMITS=LIMITS)
        assert 0 == ran.status, ran
        assert contents(system) == contents(rebuilt)
        ran = await verify(rebuilt, "--checkpoint", str(later))
        assert (0, []) == (ran.status, differences(ran)), ran


def marks_of(file: Path) -> dict[int, Mark]:
    with reading(file, Steps()) as found:
        return found.checkpoint.marks


async def applied_at(bitgo: BitGo) -> str:
    """Where the outcome of an applied command is."""
    body = reserve_body(Kind.ALLOCATION)
    accepted = await bitgo.call("POST", "/bitgo/v1/allocations", bitgo.headers() | ASYNC, json=body)
    location = accepted.headers["Location"]
    assert (await bitgo.call("GET", location)).status == 200
    for _ in range(3):
        await bitgo.reserve(Kind.ALLOCATION, body)
    return location


async def answers_truthfully(bitgo: BitGo, location: str) -> None:
    then = await bitgo.call("GET", location)
    assert (410, "pruned") == (then.status, then.body["code"])
    now = await bitgo.call("GET", location.partition("?")[0])
    assert (200, "reserved") == (now.status, now.body["status"])


async def dead_letters_and_captures(system: System, file: Path, later: Path) -> None:
    """What is open is listed, and what the log still has is captured."""
    ran = await run("dead-letters", "list", "--all", "--postgres", system.database_url)
    assert [f"0/{OPEN}"] == [line.split()[0] for line in ran.out.splitlines()]
    ran = await run("capture", file, "--kafka", system.kafka, "--prefix", system.prefix)
    [marks] = system.rows("SELECT sum(next_offset)::int AS sum FROM watermark")
    left = marks["sum"] - sum(mark.next_offset - 1 for mark in marks_of(later).values())
    assert f"captured {left} records" in ran.out


async def log_starts(system: System) -> dict[int, int]:
    async with system.consumer() as consumer:
        where = [TopicPartition(system.topics.commands, partition) for partition in range(system.partitions)]
        return {each.partition: start for each, start in (await consumer.beginning_offsets(where)).items()}


async def restarted(system: System, bitgo: BitGo) -> None:
    """Processor and ingress are killed, start on what is left, and go on."""
    for name in ("ingress-0", "processor-0"):
        system.kill(name)
    for name in ("processor-0", "ingress-0"):
        await system.ready(name)
    assert (await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))).status == 200
    await sent(system, 50)
