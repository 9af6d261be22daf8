"""`allocations checkpoint`: what is before it is taken from the file."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from proof.checkpoint.file import Checkpoint, Mark, reading, writing
from service.errors import EXIT_OPERATOR
from service.kafka import admin
from tests.proof.conftest import (
    HALF,
    OPEN,
    Halfway,
    checkpoint,
    differences,
    filled,
    on_database,
    prune,
    rebuild,
    verify,
)
from tests.proof.test_checkpoint_file import Steps
from tests.proof.test_rebuild import contents
from tests.support.cli import run
from tests.support.published import recreate
from tests.support.servers import Servers
from tests.support.system import System

PLACES = {
    "below": 'partition = %(partition)s AND "offset" < 60',
    "since": 'partition = %(partition)s AND "offset" >= %(next_offset)s',
    "last": 'partition = %(partition)s AND "offset" = %(next_offset)s - 1',
    "open": f'partition = %(partition)s AND "offset" = {OPEN}',
    "later": 'partition = %(partition)s AND "offset" = %(next_offset)s + 5',
    "some": "(SELECT subject_id FROM journal WHERE event ? 'allocationId' AND",
    "booked": "(SELECT subject_id FROM journal WHERE event ->> 'event' = 'BalanceAdjusted' AND",
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
    (0, "UPDATE adjustment SET reason = 'another' WHERE adjustment_id IN {booked} {below} LIMIT 1)"),
    (1, "UPDATE adjustment SET reason = 'another' WHERE adjustment_id IN {booked} {since} LIMIT 1)"),
    (1, "UPDATE platform_account SET sequence = sequence + 1 WHERE %(partition)s = 1 AND %(next_offset)s > 0"),
]
"""Each in a partition."""
KEPT_CHANGES = [
    (0, "UPDATE journal SET reason = 'other' WHERE {last}"),
    (1, "UPDATE journal SET traceparent = 'other' WHERE {last}"),
    (
        2,
        """
        INSERT INTO ledger
        SELECT %(partition)s, %(next_offset)s - 1, connection_id, currency, 1, 'custody', 'available', 1 FROM account
        WHERE currency NOT IN (SELECT currency FROM ledger WHERE {last})
        LIMIT 1
        """,
    ),
    (0, "UPDATE dead_letter SET value = 'other' WHERE {open}"),
]
"""To the rows that stay where all before the checkpoint is pruned."""


async def test_only_what_is_behind_it_is_compared(half_copy: System, halfway: Halfway, tmp_path: Path) -> None:
    """Rows before it may be anything; of what came since, and of what stays, each change is named."""
    heads = tmp_path / "heads.json"
    heads.write_text('{"1": {"offset": 3, "hash": "%s"}}' % ("0" * 64))
    ran = await verify(half_copy, *halfway.option, "--heads", str(heads))
    assert (0, []) == (ran.status, differences(ran)), ran
    assert f"{HALF} commands in 3 partitions" in ran.out
    assert "noted heads before the checkpoint: 1" in ran.out
    damage(half_copy, halfway, CHANGES)
    ran = await verify(half_copy, *halfway.option)
    print(ran.out)
    assert 1 == ran.status
    words = [(line.split()[0], line.split(": ", 1)[1].split()[0]) for line in differences(ran)]
    assert [
        *[("account", "available")] * 2,
        *[("adjustment", "reason")] * 2,
        *[("allocation", "notes")] * 2,
        *[("chain", "the")] * 2,
        ("journal", "reason"),
        *[("platform_account", "sequence")] * 2,
    ] == sorted(words)
    [kept] = [line for line in differences(ran) if line.endswith(" is in the checkpoint")]
    assert kept.startswith(f"chain {half_copy.topics.commands}/2/{halfway.next_offsets[2] - 1}")
    assert "since the checkpoint, which has" in ran.out


def damage(system: System, halfway: Halfway, changes: list[tuple[int, str]]) -> None:
    with psycopg.connect(system.database_url) as connection:
        for partition, change in changes:
            at = {"partition": partition, "next_offset": halfway.next_offsets[partition]}
            assert connection.execute(change.format(**PLACES).encode(), at).rowcount, change


async def test_what_stays_is_compared_with_the_checkpoint(half_copy: System, halfway: Halfway) -> None:
    """The last row of each partition, and the open dead letter's."""
    damage(half_copy, halfway, KEPT_CHANGES)
    ran = await verify(half_copy, *halfway.option)
    assert 1 == ran.status, ran
    lasts = {partition: offset - 1 for partition, offset in halfway.next_offsets.items()}
    expected = [
        (f"journal {half_copy.topics.commands}/0/{lasts[0]}", "reason is other, and "),
        (f"journal {half_copy.topics.commands}/1/{lasts[1]}", "traceparent is other, and "),
        (f"ledger {half_copy.topics.commands}/2/{lasts[2]}", "are in the checkpoint"),
        (f"dead_letter {half_copy.topics.commands}/0/{OPEN}", "value is "),
    ]
    found = differences(ran)
    assert len(expected) == len(found), ran
    for place, words in expected:
        assert any(line.startswith(place) and words in line for line in found), (place, words)


async def test_a_dead_letter_of_a_checkpoint_is_gone_when_it_was_handled_and_pruned(
    half_copy: System, halfway: Halfway
) -> None:
    place = "--reason", "none", "--postgres", half_copy.database_url
    assert (await run("dead-letters", "discard", 0, OPEN, *place)).status == 0
    ran = await prune(half_copy, *halfway.option)
    assert (0, "") == (ran.status, ran.err), ran
    assert [] == half_copy.rows(f'SELECT 1 FROM dead_letter WHERE partition = 0 AND "offset" = {OPEN}')  # noqa: S608
    ran = await verify(half_copy, *halfway.option)
    assert (0, []) == (ran.status, differences(ran)), ran
    half_copy.rows("DELETE FROM dead_letter_action RETURNING 1")
    ran = await verify(half_copy, *halfway.option)
    assert (1, [f"journal {half_copy.topics.commands}/0/{OPEN}: the row is missing"]) == (ran.status, differences(ran))


async def test_a_log_that_was_created_again_is_not_the_one_of_the_checkpoint(system: System, tmp_path: Path) -> None:
    """It is as long as before, with other records, and has nothing behind the checkpoint that would show it."""
    await filled(system, 50)
    option = "--checkpoint", str(tmp_path / "file")
    assert (await checkpoint(system, tmp_path / "file")).status == 0
    next_offsets = {row["partition"]: row["next_offset"] for row in system.rows("SELECT * FROM watermark")}
    await shortened(system, 0, next_offsets[0])
    ran = await verify(system, *option)
    assert (0, []) == (ran.status, differences(ran)), ran
    ran = await prune(system, *option)
    assert (0, "") == (ran.status, ran.err), ran

    await recreate(system, system.topics.commands)
    async with system.producer() as producer:
        for partition, next_offset in next_offsets.items():
            for _ in range(next_offset):
                await producer.send(system.topics.commands, b"something else", partition=partition)
    ran = await verify(system, *option)
    assert 1 == ran.status, ran
    assert len([each for each in next_offsets.values() if each]) == len(differences(ran)), ran
    assert all("another record than the checkpoint has" in line for line in differences(ran))
    ran = await prune(system, *option, "--log")
    assert (EXIT_OPERATOR, "") == (ran.status, ran.out), ran
    assert "another record than the one in the journal" in ran.err


async def shortened(system: System, partition: int, beyond: int) -> None:
    """Its records before an offset are deleted: all that a checkpoint there does not need."""
    async with admin(system.settings()) as client:
        where = TopicPartition(system.topics.commands, partition)
        await client.delete_records({where: RecordsToDelete(beyond)})


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
