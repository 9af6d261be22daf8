"""Daily limits in the proofs: verify checks each sum against the log, and rebuild and checkpoint put them back."""

import json
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from bitgo.client import reserve_body
from schemas.words import Kind
from tests.proof.conftest import (
    FEW_COMMANDS,
    checkpoint,
    differences,
    new_history,
    on_database,
    rebuild,
    sent,
    servers_of,
    verify,
)
from tests.support.cli import Ran, run
from tests.support.published import Published, by_partition
from tests.support.servers import Servers
from tests.support.system import System, running_system

LIMITS = '{"BTC": "200", "ETH": "1000"}'
SUMS = "SELECT scope, id::text, kind, currency, day::text, sequence, total FROM daily_usage ORDER BY 1, 2, 3, 4, 5"


@pytest.fixture(scope="module")
async def counted(servers: Servers, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """A system under daily limits, whose processor has stopped."""
    name = f"counted_{uuid.uuid4().hex}"
    servers.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    folder = tmp_path_factory.mktemp("counted")
    async with running_system(servers, servers.database_url(name), folder, partitions=2) as system:
        for number in range(2):
            await system.processor(f"processor-{number}", client_daily_limits=LIMITS, connection_daily_limits=LIMITS)
        await sent(system, FEW_COMMANDS, new_history(2))
        [events] = system.rows("SELECT count(*) FROM journal WHERE event IS NOT NULL")
        await system.records(system.topics.events, events["count"], 30)
        for number in range(2):
            await system.supervisor.remove(f"processor-{number}")
        yield system


async def test_given_daily_limits_then_nothing_differs_and_a_rebuild_has_the_same_sums(
    counted: System, servers: Servers, template: str, tmp_path: Path
) -> None:
    """By their events, although today nothing is limited; and behind a checkpoint."""
    [limited] = counted.rows("SELECT count(*) FROM journal WHERE reason = 'limit_exceeded' AND outcome = 'applied'")
    assert limited["count"] > 0
    ran = await verify(counted)
    assert (0, []) == (ran.status, differences(ran)), ran
    file = tmp_path / "counted.checkpoint"
    assert 0 == (await checkpoint(counted, file)).status
    ran = await verify(counted, "--checkpoint", str(file))
    assert (0, []) == (ran.status, differences(ran)), ran
    for options in ((), ("--checkpoint", str(file))):
        with on_database(servers, counted, tmp_path, template) as empty:
            ran = await rebuild(empty, *options)
            assert 0 == ran.status, ran
            assert counted.rows(SUMS) == empty.rows(SUMS)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            "UPDATE daily_usage SET total = total + 1 WHERE sequence = (SELECT max(sequence) FROM daily_usage)",
            "total is",
        ),
        (
            "UPDATE daily_usage SET sequence = sequence + 1 WHERE total = (SELECT max(total) FROM daily_usage)",
            "sequence is",
        ),
        ("DELETE FROM daily_usage WHERE sequence = (SELECT max(sequence) FROM daily_usage)", "the row is missing"),
        (
            "INSERT INTO daily_usage VALUES ('client', gen_random_uuid(), 'allocation', 'BTC', '2020-02-29', 1, 1)",
            "no such sum follows from the log",
        ),
    ],
)
async def test_given_a_changed_sum_then_verify_names_it(
    counted: System, servers: Servers, tmp_path: Path, change: str, words: str
) -> None:
    with on_database(servers, counted, tmp_path) as copy:
        with psycopg.connect(copy.database_url) as connection:
            changed = connection.execute(change.encode()).rowcount
        ran = await verify(copy)
        assert changed > 0
        assert 1 == ran.status
        assert changed == len(differences(ran))
        assert all(line.startswith("daily_usage ") and words in line for line in differences(ran)), ran


async def tried(system: System, *options: str, **rules: str) -> Ran:
    today = datetime.now(UTC).date()
    days = "--from", str(today - timedelta(days=1)), "--to", str(today + timedelta(days=1))
    ran = await run(
        "policy", "try", "--log", *servers_of(system), *days, *options, PROCESSOR_CONNECTIONS="open", **rules
    )
    assert 0 == ran.status, ran
    return ran


async def test_given_the_rules_of_then_trying_the_log_finds_no_difference(counted: System) -> None:
    rules = {"PROCESSOR_CLIENT_DAILY_LIMITS": LIMITS, "PROCESSOR_CONNECTION_DAILY_LIMITS": LIMITS}
    assert "of which 0 differ" in (await tried(counted, **rules)).out


async def test_given_another_policy_then_trying_the_log_lists_what_differs(counted: System) -> None:
    """What would be rejected now; and without the limits, what would pass now."""
    [approved] = counted.rows(
        "SELECT count(*) FROM journal WHERE verb = 'reserve' AND outcome = 'applied' AND reason IS NULL "
        "AND event #>> '{amount,currency}' = 'ETH'"
    )
    ran = await tried(counted, "--policy", "tests.support.policy:no_eth", "--json")
    *listed, counts = map(json.loads, ran.out.splitlines())
    verdicts = {(each["then"], each["now"]): each["count"] for each in counts["verdicts"]}
    assert approved["count"] == verdicts["approved", "no_eth"] > 0
    assert verdicts["limit_exceeded", "approved"] > 0
    assert sum(number for (then, now), number in verdicts.items() if then != now) == len(listed)
    assert {"currency": "ETH", "now": "no_eth"}.items() <= next(
        each for each in listed if each["then"] == "approved"
    ).items()


async def test_a_request_is_tried_with_the_facts_of_the_tables(counted: System, tmp_path: Path) -> None:
    """The connection whose sum is the greatest has not that much left."""
    [most] = counted.rows(
        "SELECT id::text, total FROM daily_usage WHERE scope = 'connection' ORDER BY total DESC LIMIT 1"
    )
    file = tmp_path / "request.json"
    file.write_text(json.dumps(reserve_body(Kind.ALLOCATION, 1, connectionId=most["id"], currency="BTC")))
    limits = {"PROCESSOR_CONNECTION_DAILY_LIMITS": '{"BTC": "1"}', "PROCESSOR_CONNECTIONS": "open"}
    ran = await run("policy", "try", "--request", file, "--json", *servers_of(counted), **limits)
    [total] = counted.rows(
        "SELECT coalesce(sum(total), 0)::text AS sum FROM daily_usage WHERE scope = 'connection' AND currency = 'BTC' "
        "AND kind = 'allocation' AND id = %s AND day = current_date",
        most["id"],
    )
    assert int(total["sum"]) == json.loads(ran.out)["facts"]["connectionDayTotal"]


async def test_reserves_that_were_never_published_are_counted_where_they_were(
    counted: System, servers: Servers, template: str, tmp_path: Path
) -> None:
    """Half of one partition's events are gone, all of the other's are there. The last test: it makes the topic anew."""
    published = Published(counted, by_partition(await counted.records(counted.topics.events, 0)))
    await published.rewrite(lambda records: records[: len(records) // 2])
    rules = {"PROCESSOR_CLIENT_DAILY_LIMITS": LIMITS, "PROCESSOR_CONNECTION_DAILY_LIMITS": LIMITS}
    with on_database(servers, counted, tmp_path, template) as empty:
        ran = await rebuild(
            empty, PROCESSOR_CONNECTIONS="open", PROCESSOR_POLICY="tests.support.policy:decide", **rules
        )
        assert 0 == ran.status, ran
        assert counted.rows(SUMS) == empty.rows(SUMS)
        [anew] = empty.rows("SELECT count(*) FROM journal WHERE facts #> '{policy,plug}' IS NOT NULL")
        assert 0 < anew["count"] < ran.out.count("reserve of "), (
            "the policy of today is asked of what has no event only"
        )
