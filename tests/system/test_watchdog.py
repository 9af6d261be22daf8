"""Lag without progress: excused while Postgres or Kafka is away, a restart otherwise; and what lag tools read."""

import asyncio

import psycopg
from aiokafka import TopicPartition

from bitgo.client import reserve_body
from schemas.words import Kind
from service.kafka import admin
from tests.support.system import System


async def test_a_processor_that_makes_no_progress_is_restarted_and_goes_on(system: System) -> None:
    """Somebody holds a row that its batch needs: Postgres answers, Kafka answers, nothing moves."""
    await system.processor(stall_seconds="5")
    async with await system.ingress(answer_timeout_seconds="15") as bitgo:
        body = reserve_body(Kind.ALLOCATION)
        await bitgo.reserve(Kind.ALLOCATION, body)
        await bitgo.clear(Kind.ALLOCATION, body["allocationId"])
        back = reserve_body(Kind.DEALLOCATION, 3, connectionId=body["connectionId"])
        async with await psycopg.AsyncConnection.connect(system.database_url) as holder:
            await holder.execute("SELECT * FROM account FOR UPDATE")
            waiting = asyncio.create_task(bitgo.reserve(Kind.DEALLOCATION, back))
            async with asyncio.timeout(30):
                while ("processor-0", 1) not in system.ended:
                    await asyncio.sleep(0.1)
        reply = await waiting
        while reply.status == 503:
            await asyncio.sleep(0.5)
            reply = await bitgo.reserve(Kind.DEALLOCATION, back)
    assert (200, "reserved", "1") == (reply.status, reply.body["status"], reply.headers["Allocation-Version"])
    log = system.log("processor-0").read_text()
    assert "no progress for" in log
    assert "batch_retrying" in log
    assert [{"available": 2, "held": 3}] == system.rows("SELECT available, held FROM account")


async def test_group_offsets_follow_for_lag_tools(system: System) -> None:
    await system.processor()
    async with await system.ingress() as bitgo:
        for _ in range(10):
            await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))
    expected = {row["partition"]: row["next_offset"] for row in system.rows("SELECT * FROM watermark")}
    async with admin(system.settings()) as client, asyncio.timeout(20):
        while True:
            found = await client.list_consumer_group_offsets(f"{system.prefix}processors")
            offsets = {each.partition: found[each].offset for each in found if isinstance(each, TopicPartition)}
            if offsets == expected:
                break
            await asyncio.sleep(0.5)
