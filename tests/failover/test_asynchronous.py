"""The standby lacks the last commits of a primary that died: what is said, what heals, and what an operator does."""

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from bitgo.client import BitGo, Reply, reserve_body
from local.kafka import Kafka
from schemas.records import key_of
from schemas.topics import partition_of
from schemas.words import Kind
from service.errors import EXIT_OPERATOR
from tests.failover.conftest import command, system_on, verified
from tests.failover.pair import Pair
from tests.support.system import System


async def test_given_a_lost_tail_that_was_published_then_nothing_is_decided_on_it_and_a_rebuild_has_every_answer(
    kafka: Kafka, both: Pair, tmp_path: Path
) -> None:
    async with system_on(kafka, both.url, tmp_path / "system") as system:
        await system.processor()
        async with await system.ingress() as bitgo:
            assert 200 == (await reserve(bitgo)).status
            await both.has_all()
            system.database_url = both.standby.url
            await verified(system)
            async with both.between.refusing():
                bodies = [reserve_body(Kind.ALLOCATION) for _ in range(20)]
                told = [await bitgo.reserve(Kind.ALLOCATION, body) for body in bodies]
                assert {200} == {reply.status for reply in told}
                await system.records(system.topics.events, 21)
                await both.fail_over()
            await ended_with(system, "the database is older than what was published")
            assert await refuses(bitgo, bodies[0])
            assert "has lost commits" in (await system.readyz("ingress-0"))[1]["problems"]["postgres"]
            rebuilt = await command(system, "rebuild", "--resume")
            assert 0 == rebuilt.status, rebuilt
            await verified(system)
            await system.processor("processor-1")
            await system.ready("ingress-0")
            again = [await bitgo.reserve(Kind.ALLOCATION, body) for body in bodies]
            assert words(told) == words(again)
            await system.caught_up()
            await verified(system)


async def test_given_a_lost_tail_that_was_not_published_then_it_is_decided_again_and_no_answer_is_contradicted(
    kafka: Kafka, both: Pair, tmp_path: Path
) -> None:
    """Two deallocations of everything that an account has; the one that was refused is on the partition that is decided
    first the second time.
    """
    account = {"connectionId": str(uuid.uuid4()), "clientId": str(uuid.uuid4())}
    async with system_on(kafka, both.url, tmp_path / "system") as system:
        with nothing_is_published(system, both):
            await system.processor()
            async with await system.ingress() as bitgo:
                funds = reserve_body(Kind.ALLOCATION, 10, **account)
                await bitgo.reserve(Kind.ALLOCATION, funds)
                assert 200 == (await bitgo.clear(Kind.ALLOCATION, funds["allocationId"])).status
                await both.has_all()
                async with both.between.refusing():
                    bodies = [deallocation(partition, 10, account) for partition in (5, 2)]
                    told = [await bitgo.reserve(Kind.DEALLOCATION, body) for body in bodies]
                    assert ["reserved", "rejected"] == [reply.body["status"] for reply in told]
                    more = [reserve_body(Kind.ALLOCATION) for _ in range(30)]
                    told += [await bitgo.reserve(Kind.ALLOCATION, body) for body in more]
                    await both.fail_over()
                system.database_url = both.standby.url
                await system.ready("ingress-0")
                again = [await answered(bitgo, Kind.DEALLOCATION, body) for body in bodies]
                again += [await answered(bitgo, Kind.ALLOCATION, body) for body in more]
                assert words(told) == words(again)
                await system.caught_up()
                await verified(system)
                assert "commits_lost" in system.log("processor-0").read_text()
                assert not system.ended


@contextmanager
def nothing_is_published(system: System, both: Pair) -> Iterator[None]:
    """Until the primary is gone, and with it the lock that only one relay can have."""
    with psycopg.connect(both.primary.url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(hashtext(%s))", (f"relay {system.topics.events}",))
        yield


def deallocation(partition: int, quantity: int, account: dict[str, str]) -> dict[str, Any]:
    while True:
        body = reserve_body(Kind.DEALLOCATION, quantity, **account)
        if partition == partition_of(key_of(body["deallocationId"]), 8):
            return body


async def reserve(bitgo: BitGo) -> Reply:
    return await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))


async def answered(bitgo: BitGo, kind: Kind, body: dict[str, Any]) -> Reply:
    """The first answer that is not 503."""
    async with asyncio.timeout(60):
        while (reply := await bitgo.reserve(kind, body)).status == 503:
            await asyncio.sleep(0.2)
    return reply


async def refuses(bitgo: BitGo, body: dict[str, Any]) -> bool:
    """Whether nothing is published, nor an older state shown."""
    write = await bitgo.reserve(Kind.ALLOCATION, body)
    read = await bitgo.status(Kind.ALLOCATION, body["allocationId"])
    return [(503, "unavailable")] * 2 == [(each.status, each.body["code"]) for each in (write, read)]


async def ended_with(system: System, words: str) -> None:
    async with asyncio.timeout(60):
        while ("processor-0", EXIT_OPERATOR) not in system.ended:
            await asyncio.sleep(0.1)
    assert words in system.log("processor-0").read_text().splitlines()[-1]


def words(replies: list[Reply]) -> list[tuple[int, str]]:
    return [(reply.status, reply.body["status"]) for reply in replies]
