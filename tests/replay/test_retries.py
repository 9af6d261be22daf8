"""Retries that are killed, meet each other, or meet another cluster: published once, and never lost sight of."""

import asyncio
import signal
from asyncio.subprocess import Process
from pathlib import Path

import psycopg
import pytest

from replay.retried import LASTING
from tests.support.cli import finish, run, start
from tests.support.dead_letters import letters, listed, misplace, reserve, rows_of, servers
from tests.support.system import System


def arrange(system: System, *statements: str) -> None:
    with psycopg.connect(system.database_url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


async def until(system: System, statement: str) -> None:
    async with asyncio.timeout(30):
        while not system.rows(statement):
            await asyncio.sleep(0.02)


async def begun(system: System, place: tuple[int, int]) -> Process:
    """A retry that is suspended while Postgres commits what it was told to record."""
    arrange(
        system,
        "CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_notify('pausing', ''); PERFORM pg_sleep(1.5); RETURN new; END $$",
        "CREATE TRIGGER pause BEFORE INSERT ON dead_letter_action FOR EACH ROW EXECUTE FUNCTION pause()",
    )
    process = await start("dead-letters", "retry", *place, *servers(system, "retry"))
    await until(system, "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
    process.send_signal(signal.SIGSTOP)
    await until(system, "SELECT 1 FROM dead_letter_action WHERE state = 'begun'")
    arrange(system, "DROP TRIGGER pause ON dead_letter_action")
    return process


@pytest.mark.long
async def test_killed_after_recording_and_before_publishing(parking: System) -> None:
    command = reserve()
    [place] = await misplace(parking, command)
    process = await begun(parking, place)
    process.kill()
    await process.wait()
    assert [] == rows_of(parking, command.allocation_id)
    assert "begun" == (await listed(parking))[0]["state"]
    refused = await letters(parking, "discard", *place, "--reason", "x")
    assert (3, True) == (refused.status, "a retry of it was begun" in refused.err)

    ran = await letters(parking, "retry", *place)
    assert ran.status == 0, ran
    assert "changed nothing and never will" in ran.out
    assert [("reserve", "applied")] == rows_of(parking, command.allocation_id)
    assert ["void", "retried"] == [
        row["state"] for row in parking.rows("SELECT state FROM dead_letter_action ORDER BY attempt")
    ]


@pytest.mark.long
async def test_killed_before_it_shows_that_its_record_came_too_late(parking: System, tmp_path: Path) -> None:
    """Published after its deadline, and killed before anybody has applied it: its dead letter stays, and is retried."""
    command = reserve()
    [place] = await misplace(parking, command)
    process = await begun(parking, place)
    await parking.supervisor.remove("processor-0")
    await asyncio.sleep(LASTING.total_seconds())
    process.send_signal(signal.SIGCONT)
    await parking.records(parking.topics.commands, 2)
    await asyncio.sleep(1)
    process.kill()
    await process.wait()
    await parking.processor()
    await parking.caught_up()
    assert [("reserve", "refused")] == rows_of(parking, command.allocation_id)

    assert "begun" == (await listed(parking))[0]["state"]
    to = "--kafka", parking.kafka, "--postgres", parking.database_url, "--topic-prefix", parking.prefix
    ran = await run("checkpoint", tmp_path / "file", *to)
    assert ran.status == 0, ran
    ran = await run("prune", "--checkpoint", tmp_path / "file", *to)
    assert (78, True) == (ran.status, f"allocations dead-letters retry {place[0]} {place[1]}" in ran.err), ran
    ran = await letters(parking, "retry", *place)
    assert (0, True) == (ran.status, "changed nothing and never will" in ran.out), ran
    assert [("reserve", "refused"), ("reserve", "applied")] == rows_of(parking, command.allocation_id)


@pytest.mark.long
async def test_a_retry_that_nobody_applies_is_begun_until_somebody_does(parking: System) -> None:
    command = reserve()
    [place] = await misplace(parking, command)
    await parking.supervisor.remove("processor-0")
    ran = await letters(parking, "retry", *place)
    assert (1, "") == (ran.status, ran.out), ran
    assert "and not applied yet" in ran.err
    assert "begun" == (await listed(parking))[0]["state"]
    await parking.processor()
    ran = await letters(parking, "retry", *place)
    assert (0, True) == (ran.status, "was published before as" in ran.out), ran
    assert [("reserve", "applied")] == rows_of(parking, command.allocation_id)


@pytest.mark.long
async def test_killed_after_publishing_and_before_recording_where(parking: System) -> None:
    """The row is locked, so that the position can not be written, until the process that would write it is dead."""
    command = reserve()
    [place] = await misplace(parking, command)
    arrange(
        parking,
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(3); RETURN NULL; END $$",
        "CREATE TRIGGER fail BEFORE UPDATE ON dead_letter_action FOR EACH ROW EXECUTE FUNCTION fail()",
    )
    process = await start("dead-letters", "retry", *place, *servers(parking, "retry"))
    await until(parking, "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
    process.kill()
    await process.wait()
    await parking.caught_up()
    assert [("reserve", "applied")] == rows_of(parking, command.allocation_id)
    other = await letters(parking, "discard", *place, "--reason", "x")
    assert (3, True) == (other.status, "somebody else handles dead letters" in other.err)
    async with asyncio.timeout(20):
        while parking.rows("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"):
            await asyncio.sleep(0.1)
    arrange(parking, "DROP TRIGGER fail ON dead_letter_action")
    assert "begun" == (await listed(parking))[0]["state"]

    ran = await letters(parking, "retry", *place)
    assert (0, True) == (ran.status, "was published before as" in ran.out), ran
    assert [("reserve", "applied")] == rows_of(parking, command.allocation_id)
    assert ["retried"] == [row["state"] for row in parking.rows("SELECT state FROM dead_letter_action")]


async def test_two_operators_at_once_publish_it_once(parking: System) -> None:
    command = reserve()
    [place] = await misplace(parking, command)
    both = [await start("dead-letters", "retry", *place, *servers(parking, "retry")) for _ in range(2)]
    ended = [await finish(each) for each in both]
    assert [0, 3] == sorted(each.status for each in ended), ended
    assert [("reserve", "applied")] == rows_of(parking, command.allocation_id)


async def test_a_retry_against_another_cluster_is_refused(parking: System) -> None:
    [place] = await misplace(parking, reserve())
    ran = await run(
        *("dead-letters", "retry", *place, "--postgres", parking.database_url, "--kafka", parking.kafka),
        *("--prefix", "other."),
    )
    assert ran.status == 78
    assert "does not exist" in ran.err
    assert [] == parking.rows("SELECT 1 FROM dead_letter_action")
