"""From one system into another, through the command: the same records, the same outcomes, as often as one likes."""

import asyncio
import json
import re
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from bitgo.client import reserve_body
from replay.capture_file import Source, reading
from replay.captured import Captured
from replay.rewrite import Rewriter
from schemas.records import key_of
from schemas.topics import COMMANDS_SETTINGS, partition_of
from schemas.words import Kind
from service.kafka import admin
from tests.replay.conftest import history
from tests.support.cli import Ran, finish, interrupt_when, run, start
from tests.support.system import System

COLUMNS = (
    "SELECT command_id::text, allocation_id::text, kind, verb, outcome, reason, status_before, version_before, "
    "status_after, version_after FROM journal WHERE outcome <> 'parked'"
)


async def capture(system: System, file: Path, *options: object) -> Ran:
    return await run("capture", file, "--kafka", system.kafka, "--prefix", system.prefix, *options)


async def load(system: System, file: Path, *options: object) -> Ran:
    return await run("load", file, "--kafka", system.kafka, "--prefix", system.prefix, *options)


def content(file: Path) -> tuple[Source, list[Captured]]:
    with reading(file) as reader:
        return reader.source, list(reader)


def journal(system: System, rewriter: Rewriter | None = None) -> Counter[tuple[Any, ...]]:
    """What became of each command, under the ids that a rewriter gives them."""
    rename = rewriter.map if rewriter else str
    return Counter(
        (rename(command_id), rename(allocation_id), *rest)
        for command_id, allocation_id, *rest in (tuple(row.values()) for row in system.rows(COLUMNS))
    )


def counts(said: str) -> tuple[int, ...]:
    found = re.search(r"acknowledged (\d+), not acknowledged (\d+), skipped (\d+) undecodable, not sent (\d+)", said)
    assert found, said
    return tuple(map(int, found.groups()))


async def test_a_capture_is_applied_elsewhere_with_the_same_outcomes_as_often_as_one_likes(
    system: System, narrow: System, tmp_path: Path
) -> None:
    await history(system)
    file = tmp_path / "commands.capture"
    captured = await capture(system, file)
    outcomes = {(row["outcome"], row["reason"]) for row in system.rows(COLUMNS)}
    assert outcomes >= {("applied", None), ("applied", "insufficient_balance"), ("repeated", None)}
    assert {reason for outcome, reason in outcomes if outcome == "refused"} == {"already_cleared", "not_found"}
    commands = len(system.rows(COLUMNS))
    assert (0, f"captured {commands + 3} records of {system.topics.commands} in {file}\n") == (
        captured.status,
        captured.out,
    )

    expected: Counter[tuple[Any, ...]] = Counter()
    for seed, pace in (("one", ["--fast"]), ("two", ["--speed", "3"]), ("three", ["--rate", "100"])):
        loaded = await load(narrow, file, "--rewrite-ids", seed, "--postgres", narrow.database_url, *pace)
        assert (0, (commands, 0, 3, 0)) == (loaded.status, counts(loaded.out)), loaded
        expected += journal(system, Rewriter(seed))
        assert expected == journal(narrow)
    assert [] == narrow.rows("SELECT 1 FROM dead_letter")
    balances = "SELECT sum(available) AS available, sum(held) AS held FROM account"
    assert [{name: 3 * total for name, total in row.items()} for row in system.rows(balances)] == narrow.rows(balances)

    again = await load(narrow, file, "--rewrite-ids", "one", "--fast", "--postgres", narrow.database_url)
    assert again.status == 0
    assert not re.search(r"^  applied", again.out, re.MULTILINE), again.out


async def test_at_the_captured_pace_the_outcomes_are_the_same_across_partitions(
    system: System, target: System, tmp_path: Path
) -> None:
    await history(system, pause_seconds=2)
    await capture(system, tmp_path / "file")
    loaded = await load(target, tmp_path / "file", "--rewrite-ids", "s", "--postgres", target.database_url)
    assert loaded.status == 0, loaded
    assert journal(system, Rewriter("s")) == journal(target)


async def test_without_new_ids_a_capture_goes_elsewhere_but_not_back(
    system: System, narrow: System, tmp_path: Path
) -> None:
    await history(system)
    file = tmp_path / "commands.capture"
    await capture(system, file)
    loaded = await load(narrow, file, "--fast", "--keep-undecodable", "--postgres", narrow.database_url)
    assert loaded.status == 0, loaded
    assert "parked not_a_command" in loaded.out
    assert journal(system) == journal(narrow)
    assert {(b"k", b"\x00junk %d" % n) for n in range(3)} == {
        (row["key"], row["value"]) for row in narrow.rows("SELECT key, value FROM dead_letter")
    }

    before = system.rows("SELECT * FROM watermark ORDER BY 1")
    refused = await load(system, file, "--fast")
    assert refused.status == 78
    assert "came from this very topic" in refused.err
    refused = await load(system, file, "--fast", "--rewrite-ids", "x", "--keep-connections")
    assert refused.status == 78
    await system.caught_up()
    assert before == system.rows("SELECT * FROM watermark ORDER BY 1")
    loaded = await load(system, file, "--fast", "--rewrite-ids", "x", "--postgres", system.database_url)
    assert loaded.status == 0, loaded


async def test_every_byte_of_a_topic_is_in_the_file_and_every_record_leads_back(
    system: System, target: System, tmp_path: Path
) -> None:
    await history(system)
    for holds, topic in (
        ("commands", system.topics.commands),
        ("events", system.topics.events),
        ("dead-letters", system.topics.dead_letters),
    ):
        file = tmp_path / holds
        assert (await capture(system, file, "--topic", holds)).status == 0
        source, found = content(file)
        expected = await system.records(topic, 1)
        assert {
            (each.partition, each.offset): (each.timestamp, each.timestamp_type, each.key, each.value, each.headers)
            for each in expected
        } == {
            (each.partition, each.offset): (
                each.timestamp_ms,
                each.timestamp_type,
                each.key,
                each.value,
                each.headers,
            )
            for each in found
        }
        assert len(expected) == len(found) > 2
        assert sorted(each.timestamp_ms for each in found) == [each.timestamp_ms for each in found]
        assert (topic, holds, 8) == (source.topic, source.holds, source.partitions)
        if holds != "commands":
            refused = await load(target, file)
            assert refused.status == 78
            assert f"holds {holds}" in refused.err

    await load(target, tmp_path / "commands", "--fast", "--rewrite-ids", "s")
    places = {f"{system.topics.commands}/{each.partition}/{each.offset}" for each in content(tmp_path / "commands")[1]}
    for record in await target.records(target.topics.commands, 1):
        assert dict(record.headers)["replayed-from"].decode() in places
        assert record.partition == partition_of(record.key, 5)
        assert record.key == key_of(json.loads(record.value)["allocationId"])


def files(folder: Path) -> list[str]:
    """Captures, whole or not."""
    return [each.name for each in folder.iterdir() if "file" in each.name]


async def publish_at(system: System, count: int, pause_seconds: float = 0.0) -> list[datetime]:
    """Records of a system without processors; when each was appended."""
    found = []
    async with system.producer() as producer:
        for n in range(count):
            await asyncio.sleep(pause_seconds)
            sent = await producer.send_and_wait(system.topics.commands, b"%d" % n, partition=n % 2)
            found.append(datetime.fromtimestamp(sent.timestamp / 1000, UTC))
    return found


async def test_a_part_of_a_topic(system: System, tmp_path: Path) -> None:
    at = await publish_at(system, 10, 0.02)

    async def values(name: str, *options: object) -> list[int]:
        ran = await capture(system, tmp_path / name, *options)
        assert ran.status == 0, ran
        return [int(each.value or b"") for each in content(tmp_path / name)[1]]

    assert list(range(10)) == await values("all")
    assert [1, 3, 5, 7, 9] == await values("partition", "--partition", 1)
    assert [4, 5, 6, 7] == await values("offsets", "--from-offset", 2, "--until-offset", 4)
    assert [3, 4, 5, 6] == await values("times", "--since", at[3].isoformat(), "--until", at[7].isoformat())
    assert [] == await values("before", "--until", (at[0] - timedelta(seconds=1)).isoformat())
    assert [] == await values("future", "--since", (at[9] + timedelta(seconds=1)).isoformat())
    assert list(range(10)) == await values("ago", "--since", "10m")
    assert [5, 7] == await values(
        "both", "--partition", 1, "--since", at[4].isoformat(), "--until-offset", 4, "--from-offset", 1
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--partition", "8"], "has partitions 0 to 7, and no 8"),
        (["--prefix", "nowhere."], "topic nowhere.allocation-commands does not exist"),
        (["--since", "yesterday"], "neither an instant"),
        (["--kafka", "127.0.0.1:1"], "no answer"),
    ],
)
async def test_a_mistake_gets_a_sentence_and_leaves_no_file(
    system: System, tmp_path: Path, options: list[str], words: str
) -> None:
    ran = await capture(system, tmp_path / "file", *options)
    assert ran.status != 0
    assert words in ran.err
    assert not files(tmp_path)


async def test_a_file_is_never_overwritten(system: System, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("precious")
    ran = await capture(system, file)
    assert (78, "precious") == (ran.status, file.read_text())


async def test_ctrl_c_leaves_no_file(system: System, tmp_path: Path) -> None:
    async with system.producer() as producer:
        for n in range(30):
            await asyncio.gather(
                *[
                    await producer.send(system.topics.commands, uuid.uuid4().bytes * 64, partition=n % 8)
                    for _ in range(1000)
                ]
            )
    folder = tmp_path / "files"
    folder.mkdir()
    process = await start("capture", folder / "file", "--kafka", system.kafka, "--prefix", system.prefix)
    ran = await interrupt_when(process, lambda: any(each.stat().st_size > 100_000 for each in folder.iterdir()))
    assert (130, []) == (ran.status, list(folder.iterdir())), ran
    assert (await capture(system, folder / "file")).status == 0
    assert len(content(folder / "file")[1]) == 30_000


async def test_a_damaged_file_publishes_nothing(system: System, target: System, tmp_path: Path) -> None:
    await history(system)
    file = tmp_path / "file"
    await capture(system, file)
    good = file.read_bytes()
    ends = "SELECT * FROM watermark ORDER BY 1"
    before = target.rows(ends)
    for damaged, words in (
        (good[:-40], "is cut off"),
        (good[:-100] + bytes([good[-100] ^ 4]) + good[-99:], "is damaged"),
        (good + b"\n", "goes on behind its end"),
        (b"{}", "is no capture"),
    ):
        file.write_bytes(damaged)
        ran = await load(target, file, "--fast", "--rewrite-ids", "s")
        assert ran.status == 78
        assert words in ran.err
        assert "Nothing was published" in ran.err
    await target.caught_up()
    assert before == target.rows(ends)


async def test_what_a_newer_version_wrote_is_refused_before_anything_is_published(
    system: System, target: System, tmp_path: Path
) -> None:
    async with system.producer() as producer:
        await producer.send_and_wait(system.topics.commands, b'{"schemaVersion": 2}', key=b"k", partition=0)
    await capture(system, tmp_path / "file")
    ran = await load(target, tmp_path / "file")
    assert ran.status == 78
    assert "written by a newer version" in ran.err


async def test_the_pace_is_the_captured_one_or_as_asked(system: System, target: System, tmp_path: Path) -> None:
    await publish_at(system, 5, 0.5)
    file = tmp_path / "file"
    await capture(system, file)

    async def seconds(*options: object) -> float:
        ran = await load(target, file, "--keep-undecodable", *options)
        assert (0, (5, 0, 0, 0)) == (ran.status, counts(ran.out)), ran
        return float(re.findall(r"([0-9.]+) s, ", ran.out)[-1])

    assert 1.9 <= await seconds() < 4
    assert 0.9 <= await seconds("--speed", 2) < 1.9
    assert 0.35 <= await seconds("--rate", 10) < 0.9
    assert await seconds("--fast") < 0.35
    excluded = await load(target, file, "--fast", "--rate", 1)
    assert excluded.status == 2
    assert "exclude each other" in excluded.err


async def test_a_load_that_is_interrupted_says_how_far_it_came(system: System, target: System, tmp_path: Path) -> None:
    await publish_at(system, 60)
    file = tmp_path / "file"
    await capture(system, file)
    process = await start(
        *("load", file, "--kafka", target.kafka, "--prefix", target.prefix, "--rate", 20, "--keep-undecodable")
    )
    ran = await interrupt_when(process, lambda: len(target.rows("SELECT 1 FROM journal")) >= 5)
    acknowledged, unacknowledged, skipped, unsent = counts(ran.out)
    await target.caught_up()
    assert (130, 0, 0) == (ran.status, unacknowledged, skipped)
    assert acknowledged == len(target.rows("SELECT 1 FROM journal"))
    assert acknowledged + unsent == 60


async def test_a_dry_run_says_what_is_in_a_file(system: System, tmp_path: Path) -> None:
    await history(system)
    await capture(system, tmp_path / "file")
    ran = await run("load", tmp_path / "file", "--dry-run", "--kafka", "127.0.0.1:1")
    commands = len(system.rows(COLUMNS))
    assert ran.status == 0
    assert f"{commands} commands, 3 not_a_command, of {system.topics.commands}" in ran.out


async def test_a_database_of_another_log_is_refused_before_anything_is_published(
    system: System, target: System, tmp_path: Path
) -> None:
    await history(system)
    await capture(system, tmp_path / "file")
    ran = await load(target, tmp_path / "file", "--fast", "--postgres", system.database_url)
    assert ran.status == 78
    assert "name the target's database" in ran.err
    assert [] == target.rows("SELECT 1 FROM journal")


async def test_loading_while_others_write(system: System, narrow: System, tmp_path: Path) -> None:
    await history(system)
    await capture(system, tmp_path / "file")
    process = await start(
        *("load", tmp_path / "file", "--kafka", narrow.kafka, "--prefix", narrow.prefix, "--rate", 40),
        *("--rewrite-ids", "s", "--postgres", narrow.database_url),
    )
    async with await narrow.ingress() as bitgo:
        while process.returncode is None and not narrow.rows("SELECT 1 FROM journal"):
            await asyncio.sleep(0.02)
        for _ in range(10):
            assert (await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))).status == 200
    ran = await finish(process)
    assert ran.status == 0
    expected = journal(system, Rewriter("s"))
    assert expected == journal(narrow) & expected


async def test_a_record_that_the_target_does_not_take_ends_the_load(
    system: System, target: System, tmp_path: Path
) -> None:
    """The target's topic takes shorter records than the captured one did."""
    async with system.producer() as producer:
        for n in range(20):
            await producer.send_and_wait(system.topics.commands, bytes(50_000 if n == 5 else 5), partition=0)
    await capture(system, tmp_path / "file")
    async with admin(target.settings()) as client:
        resource = ConfigResource(
            ConfigResourceType.TOPIC, target.topics.commands, configs={"max.message.bytes": "20000"} | COMMANDS_SETTINGS
        )
        await client.alter_configs([resource])
    ran = await load(target, tmp_path / "file", "--keep-undecodable", "--rate", 100)
    assert ran.status == 1
    assert "a record was not acknowledged: MessageSizeTooLargeError" in ran.out
    acknowledged, unacknowledged, _, unsent = counts(ran.out)
    assert unacknowledged >= 1
    assert acknowledged + unacknowledged + unsent == 20
    await target.caught_up()
    assert acknowledged == len(target.rows("SELECT 1 FROM journal"))
