"""The thinnest slice through every part: one signed reserve through HTTP, Kafka, Faust, Postgres and back."""

import asyncio

from bitgo.client import reserve_body
from schemas.words import Kind
from tests.support.raw import line_to
from tests.support.system import System


async def test_one_signed_reserve_goes_all_the_way_and_back(system: System) -> None:
    await system.processor()
    body = reserve_body(Kind.ALLOCATION)
    async with await system.ingress() as bitgo:
        reply = await bitgo.reserve(Kind.ALLOCATION, body)
    assert (200, body | {"status": "reserved"}) == (reply.status, reply.body)
    [row] = system.rows("SELECT * FROM allocation")
    assert body["allocationId"] == str(row["allocation_id"])
    [event] = await system.records(system.topics.events, 1)
    assert body["allocationId"].encode() == event.key
    assert reply.headers["Log-Position"] == dict(event.headers)["ce_id"].decode()


async def test_an_ingress_that_says_it_is_ready_listens(system: System) -> None:
    await system.processor()
    await system.ingress(wait=False)
    async with asyncio.timeout(60):
        while (await system.readyz("ingress-0"))[0] != 200:
            pass
    async with line_to(system.urls["ingress-0"]):
        pass
