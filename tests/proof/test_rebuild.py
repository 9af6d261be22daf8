"""`allocations rebuild`: from commands and events the same tables again, whatever the settings are by now."""

import asyncio
import signal
import uuid
from asyncio.subprocess import Process
from pathlib import Path
from typing import Any

import psycopg
import pytest

from service.errors import EXIT_OPERATOR
from tests.proof.conftest import (
    COMMANDS,
    LIMITS,
    PUBLISHED_COMMANDS,
    differences,
    filled,
    noted,
    on_database,
    rebuild,
    sent,
    servers_of,
    verify,
)
from tests.support.cli import start
from tests.support.published import Published, Sent
from tests.support.servers import Servers
from tests.support.system import System

TABLES = [
    *("log_identity", "watermark", "journal", "dead_letter", "allocation", "account", "ledger"),
    *("connection", "platform_account", "adjustment", "daily_usage"),
]
OTHER_RULES = {"PROCESSOR_CURRENCIES": '["NONE"]', "PROCESSOR_LIMITS": '{"BTC": "1"}'}


def contents(system: System) -> dict[str, list[dict[str, Any]]]:
    return {table: system.rows(f"SELECT * FROM {table} AS every ORDER BY every::text") for table in TABLES}  # noqa: S608


async def test_an_empty_database_becomes_the_same_under_other_settings(whole: System, empty: System) -> None:
    ran = await rebuild(empty, **OTHER_RULES)
    assert 0 == ran.status, ran
    assert "of which 0 depend on settings or balances" in ran.out
    ran = await verify(empty, "--heads", noted(whole))
    assert (0, []) == (ran.status, differences(ran))
    assert contents(whole) == contents(empty)


@pytest.mark.long
async def test_processors_go_on_where_a_rebuild_ended(system: System, servers: Servers, template: str) -> None:
    await filled(system, 500)
    with on_database(servers, system, system.folder, template) as rebuilt:
        assert (await rebuild(rebuilt)).status == 0
        await filled(rebuilt, 500)
        ran = await verify(rebuilt)
        assert (0, []) == (ran.status, differences(ran))
        assert "1,000 commands" in ran.out


async def test_a_restored_backup_is_brought_up_to_date(system: System, servers: Servers, tmp_path: Path) -> None:
    await filled(system, 500)
    with on_database(servers, system, tmp_path) as backup:
        await filled(system, 500)
        before = contents(backup)
        refused = await rebuild(backup)
        assert EXIT_OPERATOR == refused.status
        assert "--resume" in refused.err
        assert before == contents(backup)
        ran = await rebuild(backup, "--resume", **OTHER_RULES)
        assert 0 == ran.status, ran
        assert contents(system) == contents(backup)
        assert (await verify(backup)).status == 0


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
async def test_a_rebuild_that_was_interrupted_goes_on(whole: System, empty: System, ending: signal.Signals) -> None:
    process = await start("rebuild", *servers_of(empty), **OTHER_RULES)
    await some_rows(empty, process)
    process.send_signal(ending)
    _, err = await process.communicate()
    assert process.returncode == (130 if ending is signal.SIGINT else -signal.SIGKILL), err
    [journal] = empty.rows("SELECT count(*) FROM journal")
    assert 0 < journal["count"] < COMMANDS, "it was interrupted in the middle"
    await refuses_to_start(empty)
    ran = await verify(empty)
    assert (EXIT_OPERATOR, "") == (ran.status, ran.out)
    ran = await rebuild(empty, **OTHER_RULES)
    assert 0 == ran.status, ran
    assert contents(whole) == contents(empty)


async def some_rows(system: System, process: Process) -> None:
    with psycopg.connect(system.database_url, autocommit=True) as connection:
        async with asyncio.timeout(60):
            while not connection.execute("SELECT FROM journal LIMIT 1").fetchall():
                assert process.returncode is None
                await asyncio.sleep(0.005)


async def refuses_to_start(system: System) -> None:
    name = f"processor-{uuid.uuid4().hex}"
    await system.processor(name, wait=False)
    async with asyncio.timeout(30):
        while name in system.supervisor.pids():
            await asyncio.sleep(0.05)
    last = system.log(name).read_text().splitlines()[-1]
    assert "refused_to_run" in last
    assert "allocations rebuild" in last


@pytest.mark.long
async def test_it_waits_for_nobody_who_writes(system: System) -> None:
    """And a processor waits for a rebuild."""
    await filled(system, 50)
    await system.processor()
    await sent(system, 50)
    ran = await rebuild(system, "--resume")
    assert (EXIT_OPERATOR, "") == (ran.status, ran.out)
    assert "stop them first" in ran.err
    await system.supervisor.remove("processor-0")
    with psycopg.connect(system.database_url, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(hashtext('allocations tables'))")
        assert (await rebuild(system, "--resume")).status == EXIT_OPERATOR
        await system.processor("processor-1")
        sending = asyncio.create_task(sent(system, 50))
        async with asyncio.timeout(20):
            while "batch_retrying" not in system.log("processor-1").read_text():
                await asyncio.sleep(0.1)
    await sending
    assert (await verify(system)).status == 0


async def test_rows_without_watermarks_are_nobodys(empty: System, servers: Servers) -> None:
    empty.rows("INSERT INTO account VALUES (gen_random_uuid(), 'BTC', 0, 0, 0) RETURNING 1")
    ran = await rebuild(empty)
    assert (EXIT_OPERATOR, "") == (ran.status, ran.out)
    assert "no watermarks" in ran.err
    bare = System(empty.kafka, servers.postgres_url, empty.prefix, empty.folder, empty.supervisor)
    ran = await rebuild(bare)
    assert EXIT_OPERATOR == ran.status
    assert "allocations migrate" in ran.err


def first_half(records: list[Sent]) -> list[Sent]:
    return records[: len(records) // 2]


def nothing(_records: list[Sent]) -> list[Sent]:
    return []


def second_doubled(records: list[Sent]) -> list[Sent]:
    return [*records[:2], *records[1:]]


def second_missing(records: list[Sent]) -> list[Sent]:
    return [records[0], *records[2:]]


def second_changed(records: list[Sent]) -> list[Sent]:
    value = (records[1].value or b"").replace(b'"quantity":"', b'"quantity":"7')
    return [records[0], Sent(records[1].key, value, records[1].headers), *records[2:]]


async def test_what_was_never_published_is_decided_again_and_put_back_where_it_was(
    published: Published, servers: Servers, template: str, tmp_path: Path
) -> None:
    """Half of one partition's events were not published when the database was lost; all of the other's were."""
    await published.rewrite(first_half)
    with on_database(servers, published.system, tmp_path, template) as rebuilt:
        ran = await rebuild(rebuilt, PROCESSOR_LIMITS=LIMITS)
        assert 0 == ran.status, ran
        listed = [line for line in ran.out.splitlines() if line.startswith("decided anew: ")]
        assert listed
        assert all(f"{rebuilt.topics.commands}/0/" in line for line in listed)
        assert f"of which {len(listed):,} depend on settings or balances" in ran.out
        assert contents(published.system) == contents(rebuilt)
        ran = await verify(rebuilt)
        assert (0, []) == (ran.status, differences(ran))


async def test_when_both_partitions_were_behind_everything_finds_its_place(
    published: Published, servers: Servers, template: str, tmp_path: Path
) -> None:
    await published.rewrite(first_half, first_half)
    with on_database(servers, published.system, tmp_path, template) as rebuilt:
        ran = await rebuild(rebuilt, PROCESSOR_LIMITS=LIMITS)
        assert 0 == ran.status, ran
        ran = await verify(rebuilt)
        assert (0, []) == (ran.status, differences(ran))


async def test_without_any_event_everything_is_decided_again(
    published: Published, servers: Servers, template: str, tmp_path: Path
) -> None:
    await published.rewrite(nothing, nothing)
    with on_database(servers, published.system, tmp_path, template) as rebuilt:
        ran = await rebuild(rebuilt, PROCESSOR_LIMITS=LIMITS)
        assert 0 == ran.status, ran
        assert f"0 commands by their events, {PUBLISHED_COMMANDS} decided anew" in ran.out
        ran = await verify(rebuilt)
        assert (0, []) == (ran.status, differences(ran))


async def test_what_can_not_be_put_back_as_it_was_is_named(
    published: Published, servers: Servers, template: str, tmp_path: Path
) -> None:
    """The other partition's decisions found balances that the first one's, under other rules, do not lead to."""
    await published.rewrite(first_half)
    with on_database(servers, published.system, tmp_path, template) as rebuilt:
        ran = await rebuild(rebuilt, **OTHER_RULES)
        if ran.status == EXIT_OPERATOR:
            assert "can not be put back" in ran.err
            return
        assert 1 == ran.status, ran
        assert any(line.startswith("account ") for line in ran.out.splitlines())
        ran = await verify(rebuilt)
        assert 1 == ran.status
        assert {"account"} <= {line.split()[0] for line in differences(ran)} <= {"account", "platform_account"}


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        (second_doubled, 0, "passed over: "),
        (second_missing, EXIT_OPERATOR, "has no event while later ones have"),
        (second_changed, EXIT_OPERATOR, "follows from the log"),
    ],
    ids=lambda each: each.__name__ if callable(each) else "",
)
async def test_events_that_are_not_those_of_the_commands(
    published: Published, servers: Servers, template: str, tmp_path: Path, change: Any, status: int, words: str
) -> None:
    await published.rewrite(change)
    with on_database(servers, published.system, tmp_path, template) as rebuilt:
        ran = await rebuild(rebuilt)
        assert status == ran.status, ran
        assert words in ran.err
        assert "Traceback" not in ran.err
