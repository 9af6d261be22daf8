"""`allocations checkpoint` and `prune`: from there on verifying and rebuilding need nothing from before."""

import asyncio
import signal
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiokafka import TopicPartition

from bitgo.client import BitGo, reserve_body
from proof.checkpoint_file import Checkpoint, Mark, reading, writing
from schemas.words import Kind
from service.errors import EXIT_OPERATOR
from tests.proof.conftest import (
    HALF,
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
PLACES = {
    "below": 'partition = %(partition)s AND "offset" < 60',
    "since": 'partition = %(partition)s AND "offset" >= %(next_offset)s',
    "last": 'partition = %(partition)s AND "offset" = %(next_offset)s - 1',
    "later": 'partition = %(partition)s AND "offset" = %(next_offset)s + 5',
    "some": "(SELECT allocation_id FROM journal WHERE event IS NOT NULL AND",
}
CHANGES = [
    (1, "UPDATE journal SET reason = 'other' WHERE {below}"),
    (1, "DELETE FROM ledger WHERE {below}"),
    (1, "UPDATE journal SET reason = 'other' WHERE {later}"),
    (2, "UPDATE journal SET hash = sha256('x') WHERE {last}"),
    (
        0,
        """
        UPDATE account SET available = available + 1
        WHERE (connection_id, currency) IN (SELECT connection_id, currency FROM ledger WHERE {below} LIMIT 1)
        """,
    ),
    (0, "UPDATE allocation SET notes = 'other' WHERE allocation_id IN {some} {since} LIMIT 1)"),
    (2, "UPDATE allocation SET notes = 'other' WHERE allocation_id IN {some} {below} LIMIT 1)"),
]
"""Each in a partition."""


async def test_only_what_is_behind_it_is_compared(half_copy: System, halfway: Halfway, tmp_path: Path) -> None:
    """Rows before it may be anything; of what came since, and of what stays, each change is named."""
    heads = tmp_path / "heads.json"
    heads.write_text('{"1": {"offset": 3, "hash": "%s"}}' % ("0" * 64))
    ran = await verify(half_copy, *halfway.option, "--heads", str(heads))
    assert (0, []) == (ran.status, differences(ran)), ran
    assert f"{HALF} commands in 3 partitions" in ran.out
    assert "noted heads before the checkpoint: 1" in ran.out
    with psycopg.connect(half_copy.database_url) as connection:
        for partition, change in CHANGES:
            at = {"partition": partition, "next_offset": halfway.next_offsets[partition]}
            assert connection.execute(change.format(**PLACES).encode(), at).rowcount, change
    ran = await verify(half_copy, *halfway.option)
    print(ran.out)
    assert 1 == ran.status
    words = [(line.split()[0], line.split(": ", 1)[1].split()[0]) for line in differences(ran)]
    assert [
        *[("account", "available")] * 2,
        *[("allocation", "notes")] * 2,
        *[("chain", "the")] * 2,
        ("journal", "reason"),
    ] == sorted(words)
    assert f"chain {half_copy.topics.commands}/2/{halfway.next_offsets[2] - 1}: the hash is " in ran.out
    assert "since the checkpoint, which has" in ran.out


def rewritten(file: Path, target: Path, change: Callable[[Checkpoint], dict[str, Any]]) -> Path:
    """A whole file that says something else of itself."""
    with reading(file, Steps()) as old:
        new = old.checkpoint.model_copy(update=change(old.checkpoint))
        with writing(target, new) as writer:
            for part, rows in old:
                for row in rows:
                    writer.add(part, row)
    return target


def marked(**values: Any) -> Callable[[Checkpoint], dict[str, Any]]:
    """Partition 1 stands elsewhere."""

    def change(old: Checkpoint) -> dict[str, Any]:
        return {"marks": {**old.marks, 1: Mark(**(old.marks[1].model_dump() | values))}}

    return change


async def test_a_file_that_is_not_this_log_s_checkpoint_is_refused(
    half_copy: System, halfway: Halfway, servers: Servers, template: str, tmp_path: Path
) -> None:
    content = await asyncio.to_thread(halfway.file.read_bytes)
    damaged, cut = tmp_path / "damaged", tmp_path / "cut"
    for file, other in ((damaged, content[:-100] + b"x" + content[-99:]), (cut, content[:-60])):
        await asyncio.to_thread(file.write_bytes, other)
    foreign = rewritten(halfway.file, tmp_path / "foreign", lambda _: {"cluster_id": "another"})
    ahead = rewritten(halfway.file, tmp_path / "ahead", marked(next_offset=halfway.next_offsets[1] + HALF))
    branched = rewritten(halfway.file, tmp_path / "branched", marked(hash="ab" * 32))
    before = contents(half_copy)
    with on_database(servers, half_copy, tmp_path, template) as empty:
        for ran, words in (
            (await rebuild(empty, "--checkpoint", str(damaged)), "is damaged"),
            (await prune(half_copy, "--checkpoint", str(cut)), "is cut off"),
            (await verify(half_copy, "--checkpoint", str(foreign)), "in cluster another"),
            (await verify(half_copy, "--checkpoint", str(ahead)), "ends at offset"),
            (await prune(half_copy, "--checkpoint", str(branched)), "another hash"),
        ):
            assert (EXIT_OPERATOR, "") == (ran.status, ran.out), ran
            assert words in ran.err
        assert [] == empty.rows("SELECT * FROM watermark")
    assert before == contents(half_copy)


async def test_nothing_is_overwritten(half_copy: System, halfway: Halfway) -> None:
    ran = await checkpoint(half_copy, halfway.file)
    assert (2, "") == (ran.status, ran.out)
    assert "never overwritten" in ran.err


UNPUBLISHED = {
    "events": """
        UPDATE journal SET outcome = 'applied', event = '{}', facts = '{}'
        WHERE event IS NULL AND (partition, "offset") IN (SELECT partition, next_offset - 1 FROM watermark)
        RETURNING *
    """,
    "dead_letters": """
        INSERT INTO dead_letter
        SELECT partition, "offset", 'not_a_command', NULL, NULL, '{}', '{}', recorded_at FROM journal
        WHERE (partition, "offset") IN (SELECT partition, next_offset - 1 FROM watermark)
        RETURNING *
    """,
}


@pytest.mark.parametrize("topic", UNPUBLISHED)
async def test_what_is_not_published_is_not_before_a_checkpoint(half_copy: System, tmp_path: Path, topic: str) -> None:
    """Whoever prunes would delete it."""
    assert half_copy.rows(UNPUBLISHED[topic])
    file = tmp_path / "file"
    ran = await checkpoint(half_copy, file)
    assert (EXIT_OPERATOR, "") == (ran.status, ran.out)
    assert f"is not in {getattr(half_copy.topics, topic)} yet" in ran.err
    assert not await asyncio.to_thread(file.exists)


async def test_a_prune_that_was_killed_is_run_again(half_copy: System, halfway: Halfway) -> None:
    """And what is left is enough to verify, and to go on with a rebuild."""
    begun = ("begun", "me", uuid.uuid4(), uuid.uuid4())
    half_copy.rows(
        'INSERT INTO dead_letter_action (partition, "offset", attempt, state, taken_by, command_id, allocation_id, '
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
