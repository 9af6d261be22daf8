"""From one system into another, through the command: the same records, the same outcomes, as often as one likes."""

import asyncio
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from bitgo.client import reserve_body
from replay.rewrite import Rewriter
from schemas.topics import COMMANDS_SETTINGS
from schemas.words import Kind
from service.kafka import admin
from tests.proof.conftest import verify
from tests.replay.conftest import history, platform_history
from tests.support.captures import COLUMNS, capture, counts, journal, load, publish_at
from tests.support.cli import finish, interrupt_when, run, start
from tests.support.system import System


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


async def test_connections_and_adjustments_are_applied_elsewhere_with_the_same_outcomes(
    system: System, registered: System, tmp_path: Path
) -> None:
    """As often as one likes: the platform's accounts and the tokens get new names too."""
    await platform_history(system)
    file = tmp_path / "commands.capture"
    assert 0 == (await capture(system, file)).status
    reasons = {row["reason"] for row in system.rows(COLUMNS)}
    assert {"insufficient_balance", "account_connected", "inactive_connection"} <= reasons
    expected: Counter[tuple[Any, ...]] = Counter()
    for seed in ("one", "two"):
        loaded = await load(
            registered, file, "--rewrite-ids", seed, "--speed", "1", "--postgres", registered.database_url
        )
        assert 0 == loaded.status, loaded
        expected += journal(system, Rewriter(seed))
        assert expected == journal(registered)
    balances = (
        "SELECT currency, 2 * sum(available) AS available, 2 * sum(held) AS held FROM account GROUP BY 1 ORDER BY 1"
    )
    assert system.rows(balances) == registered.rows(balances.replace("2 * ", ""))
    verified = await verify(registered)
    assert 0 == verified.status, verified


@pytest.mark.long
async def test_at_the_captured_pace_the_outcomes_are_the_same_across_partitions(
    system: System, target: System, tmp_path: Path
) -> None:
    await history(system, pause_seconds=2)
    await capture(system, tmp_path / "file")
    loaded = await load(target, tmp_path / "file", "--rewrite-ids", "s", "--postgres", target.database_url)
    assert loaded.status == 0, loaded
    assert journal(system, Rewriter("s")) == journal(target)


@pytest.mark.long
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


@pytest.mark.long
async def test_the_pace_is_the_captured_one_or_as_asked(system: System, target: System, tmp_path: Path) -> None:
    await publish_at(system, 5, 0.5)
    file = tmp_path / "file"
    await capture(system, file)

    async def seconds(*options: object) -> float:
        ran = await load(target, file, "--keep-undecodable", *options)
        assert (0, (5, 0, 0, 0)) == (ran.status, counts(ran.out)), ran
        return float(re.findall(r"([0-9.]+) s, ", ran.out)[-1])

    async def takes(least: float, less_than: float, *options: object) -> None:
        """A busy machine makes a load slow, and nothing makes it fast: three tries."""
        for _ in range(3):
            if (took := await seconds(*options)) < less_than:
                break
        assert least <= took < less_than

    await takes(1.9, 4)
    await takes(0.9, 1.9, "--speed", 2)
    await takes(0.35, 0.9, "--rate", 10)
    await takes(0, 0.35, "--fast")
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


@pytest.mark.long
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
