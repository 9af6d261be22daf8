"""Outcomes come with the notification of a commit; without it they are read, and answers are the same (record 0015).

A notification is a hint to look, and nobody else's can be heard (record 0015).
"""

import asyncio
import uuid
from collections.abc import AsyncIterator

import psycopg
import pytest

from bitgo.client import BitGo, reserve_body
from schemas.notifications import NOTIFICATION_MAX_BYTES
from schemas.words import Kind
from tests.support.servers import Servers
from tests.support.system import System, shared_system

FAR_AHEAD = '{"next": {"0":900,"1":900,"2":900,"3":900,"4":900,"5":900,"6":900,"7":900}, "outcomes": []}'
GARBAGE = ("", "{", "\\", "ü" * 3900, "[" * 7000, '{"next": {"0": 1e999}, "outcomes": []}', '{"1": 5}')


@pytest.fixture(scope="module")
async def system(servers: Servers, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with shared_system(servers, template, tmp_path_factory.mktemp("notifications")) as started:
        await started.processor()
        yield started


@pytest.fixture(scope="module")
async def bitgo(system: System) -> AsyncIterator[BitGo]:
    async with await system.ingress() as bitgo:
        yield bitgo


async def outcomes(system: System) -> tuple[float, float]:
    """How many came with a notification, and how many were read."""
    found = await system.metrics("ingress-0")
    return tuple(found.get(f'ingress_outcomes_total{{by="{by}"}}', 0.0) for by in ("notification", "table"))  # type: ignore[return-value]


async def reserves(bitgo: BitGo, times: int = 1) -> float:
    """Each is answered 200; gives the longest time that one took, in seconds."""
    replies = [await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION)) for _ in range(times)]
    assert {(200, "reserved")} == {(reply.status, reply.body["status"]) for reply in replies}
    return max(reply.seconds for reply in replies)


def notify(url: str, channel: str, *payloads: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for payload in payloads:
            connection.execute("SELECT pg_notify(%s, %s)", (channel, payload))


def our_channel(system: System) -> str:
    return str(system.rows("SELECT name FROM notification_channel")[0]["name"])


async def test_what_comes_with_the_notification_need_not_be_read(system: System, bitgo: BitGo) -> None:
    before = await outcomes(system)
    for _ in range(20):
        body = reserve_body(Kind.ALLOCATION)
        assert (await bitgo.reserve(Kind.ALLOCATION, body)).body["status"] == "reserved"
        assert (await bitgo.clear(Kind.ALLOCATION, body["allocationId"])).body["status"] == "cleared"
    told, read = (now - then for now, then in zip(await outcomes(system), before, strict=True))
    assert told + read == 40
    assert told >= 30, "the first ones may be read: a poll is as quick as a new connection"


async def test_without_notifications_the_rows_are_read(system: System, bitgo: BitGo) -> None:
    before = await outcomes(system)
    for _ in range(5):
        system.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'allocations-ingress-listen' AND datname = current_database()"
        )
        body = reserve_body(Kind.ALLOCATION)
        reserved = await bitgo.reserve(Kind.ALLOCATION, body)
        assert (200, "reserved", "1") == (
            reserved.status,
            reserved.body["status"],
            reserved.headers["Allocation-Version"],
        )
        again = await bitgo.reserve(Kind.ALLOCATION, body)
        assert reserved.body == again.body
    assert (await outcomes(system))[1] - before[1] >= 5


async def test_given_a_notification_far_ahead_then_every_write_is_answered_and_the_process_is_ready(
    system: System, bitgo: BitGo
) -> None:
    """On both channels: the old one, which any role knew, and ours, as a failover that lost commits would."""
    for channel in ("watermark", our_channel(system)):
        notify(system.database_url, channel, FAR_AHEAD)
        await reserves(bitgo, 16)
        assert 200 == (await system.readyz("ingress-0"))[0]


async def test_given_a_flood_of_false_hints_then_writes_are_answered_and_looks_are_bounded(
    system: System, bitgo: BitGo
) -> None:
    """Whoever waits looks again with each hint, but never twice at once."""
    await reserves(bitgo)
    channel, stop = our_channel(system), asyncio.Event()

    def flood() -> None:
        with psycopg.connect(system.database_url, autocommit=True) as connection:
            while not stop.is_set():
                connection.execute("SELECT pg_notify(%s, %s) FROM generate_series(1, 50)", (channel, FAR_AHEAD))

    flooding = asyncio.create_task(asyncio.to_thread(flood))
    try:
        slowest = await reserves(bitgo, 30)
        connections = system.rows(
            "SELECT 1 FROM pg_stat_activity WHERE application_name = 'allocations-ingress' "
            "AND datname = current_database()"
        )
    finally:
        stop.set()
        await flooding
    assert slowest < 3
    assert len(connections) <= 4


async def counted(system: System) -> float:
    return (await system.metrics("ingress-0")).get("ingress_foreign_notifications_total", 0.0)


async def test_given_garbage_on_our_channel_then_it_is_counted_and_nothing_else(system: System, bitgo: BitGo) -> None:
    before = await counted(system)
    for payload in GARBAGE:
        assert len(payload.encode()) <= NOTIFICATION_MAX_BYTES
        notify(system.database_url, our_channel(system), payload)
        await reserves(bitgo)
    assert [] == system.ended
    assert len(GARBAGE) == await counted(system) - before


async def test_given_a_forged_outcome_then_it_must_name_a_command_that_nobody_has_answered(
    system: System, bitgo: BitGo
) -> None:
    """Even on our channel: what names another command or another place is not answered from."""
    ids = {"command_id": str(uuid.uuid4()), "allocation_id": str(uuid.uuid4())}
    forged = {"partition": 0, "offset": 0, "kind": "allocation", "verb": "clear", "outcome": "applied"} | ids
    document = psycopg.types.json.Jsonb({"next": {}, "outcomes": [forged]})
    with psycopg.connect(system.database_url, autocommit=True) as connection:
        connection.execute("SELECT pg_notify(%s, %s::jsonb::text)", (our_channel(system), document))
    await reserves(bitgo, 8)


async def test_the_name_of_the_channel_is_in_no_statement_that_others_may_see(system: System, bitgo: BitGo) -> None:
    await reserves(bitgo)
    seen = system.rows("SELECT query FROM pg_stat_activity WHERE datname = current_database()")
    assert not [row for row in seen if our_channel(system) in row["query"]]
