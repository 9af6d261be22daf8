"""`allocations verify` on a filled system that has stopped: what was damaged is named, and nothing else is."""

import asyncio
import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from processor.domain.journal import JournalRow
from tests.proof.conftest import COMMANDS, differences, noted, servers_of, verify
from tests.support.cli import run
from tests.support.system import System


async def test_a_system_that_nobody_touched_has_no_difference(whole: System) -> None:
    ran = await verify(whole, "--heads", noted(whole))
    assert (0, []) == (ran.status, differences(ran)), ran
    assert f"{COMMANDS:,} commands in 8 partitions" in ran.out
    assert "no difference" in ran.out
    assert "not yet applied: 0 commands; not yet published: 0" in ran.out
    outcomes = {row["outcome"] for row in whole.rows("SELECT DISTINCT outcome FROM journal")}
    assert {"applied", "repeated", "refused", "parked"} == outcomes
    assert {"tombstone", "reserved", "rejected", "cleared", "released"} == {
        row["status"] for row in whole.rows("SELECT DISTINCT status FROM allocation")
    }


async def test_a_rewritten_history_is_whole_and_yet_not_what_was_noted(copy: System, whole: System) -> None:
    """Whoever may write everything changes a row and makes all hashes after it anew."""
    head_file = json.loads(await asyncio.to_thread(Path(noted(whole)).read_text))
    [row] = copy.rows("SELECT * FROM journal WHERE partition = 3 AND outcome = 'refused' ORDER BY \"offset\" LIMIT 1")
    with psycopg.connect(copy.database_url) as connection:
        rewrite(connection, row["partition"], row["offset"])
    ran = await verify(copy, "--heads", noted(whole), "--show", "100000")
    assert 1 == ran.status
    tables = {line.split(" ")[0] for line in differences(ran)}
    assert "chain" not in tables
    assert {"journal", "heads", copy.topics.events} == tables
    [heads] = [line for line in differences(ran) if line.startswith("heads")]
    head = head_file["heads"][str(row["partition"])]
    assert f"heads {copy.topics.commands}/{row['partition']}/{head['offset']}" in heads
    assert f"{head['hash']} was noted" in heads


def rewrite(connection: psycopg.Connection[Any], partition: int, offset: int) -> None:
    rows = connection.execute(
        'SELECT "offset", recorded_at, outcome, command_id::text, subject_id::text, kind, verb, reason, '
        "status_before, version_before, status_after, version_after, event, facts, traceparent, hash "
        'FROM journal WHERE partition = %s ORDER BY "offset"',
        (partition,),
    ).fetchall()
    last = bytes(32)
    for at, recorded_at, outcome, command_id, subject_id, kind, verb, reason, *rest, _ in rows:
        changed = "already_cleared!" if at == offset else reason
        row = JournalRow(partition, at, recorded_at, outcome, command_id, subject_id, kind, verb, changed, *rest)
        last = row.hash(last)
        connection.execute(
            'UPDATE journal SET reason = %s, hash = %s WHERE partition = %s AND "offset" = %s',
            (changed, last, partition, at),
        )
    connection.execute("UPDATE watermark SET hash = %s WHERE partition = %s", (last, partition))


async def test_a_head_of_a_longer_journal_is_missed(whole: System, tmp_path: Path) -> None:
    file = tmp_path / "heads.json"
    file.write_text(json.dumps({"0": {"offset": 1_000_000, "hash": "0" * 64}, "99": {"offset": 1, "hash": "0" * 64}}))
    ran = await verify(whole, "--heads", str(file), "--heads", noted(whole))
    assert 1 == ran.status
    assert [
        f"heads {whole.topics.commands}/99/0: the log has no such partition",
        f"heads {whole.topics.commands}/0/1000000: was noted, and the journal does not have it",
    ] == differences(ran)


async def test_only_some_differences_are_shown_and_all_are_counted(copy: System) -> None:
    copy.rows("UPDATE allocation SET notes = 'other' WHERE version > 0 RETURNING 1")
    [row] = copy.rows("SELECT count(*) FROM allocation WHERE version > 0")
    ran = await verify(copy, "--show", "3")
    lines = ran.out.splitlines()
    assert (1, 6) == (ran.status, len(lines))
    assert f"… and {row['count'] - 3:,} more" == lines[3]
    assert f"{row['count']:,} differences" in lines[4]


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ([], 2, "which database?"),
        (["--nonsense"], 2, "No such option"),
        (["--heads", "/nowhere"], 2, "does not exist"),
        (["--postgres", "postgresql://nobody@127.0.0.1:1/x", "--kafka", "127.0.0.1:1"], 78, "no answer"),
    ],
    ids=str,
)
async def test_a_mistake_is_no_difference(options: list[str], status: int, words: str) -> None:
    ran = await run("verify", *options)
    assert (status, "") == (ran.status, ran.out)
    assert words in ran.err
    assert "Traceback" not in ran.err


async def test_what_does_not_belong_together_is_no_difference(copy: System, whole: System, tmp_path: Path) -> None:
    file = tmp_path / "heads.json"
    file.write_text('{"heads": {"0": {"offset": -1}}}')
    ran = await verify(whole, "--heads", str(file))
    assert (2, "") == (ran.status, ran.out)
    assert "has no heads" in ran.err
    copy.rows("UPDATE log_identity SET cluster_id = 'another' RETURNING 1")
    ran = await verify(copy)
    assert (78, "") == (ran.status, ran.out)
    assert "this is Kafka cluster" in ran.err
    copy.rows("DELETE FROM log_identity RETURNING 1")
    ran = await run("verify", *servers_of(copy))
    assert (78, "") == (ran.status, ran.out)
    assert "allocations rebuild" in ran.err
