"""One event for each applied transition, in order, once, whatever happens to the relay (decision 16)."""

import asyncio
import signal

import pytest
from aiokafka import AIOKafkaProducer

from bitgo.client import reserve_body
from schemas.events import AllocationCleared, AllocationReserved, DeallocationRejected
from schemas.records import Position, decode_event
from schemas.words import Kind
from tests.support.system import System


async def test_events_say_what_happened_and_on_what_it_rested(system: System) -> None:
    await system.processor(limits='{"LIMITED": "100"}')
    async with await system.ingress() as bitgo:
        body = reserve_body(Kind.ALLOCATION, 7)
        await bitgo.reserve(Kind.ALLOCATION, body)
        await bitgo.reserve(Kind.ALLOCATION, body)
        await bitgo.clear(Kind.ALLOCATION, body["allocationId"])
        await bitgo.release(Kind.ALLOCATION, body["allocationId"])
        back = reserve_body(Kind.DEALLOCATION, 9, connectionId=body["connectionId"])
        rejected = await bitgo.reserve(Kind.DEALLOCATION, back)
        await bitgo.release(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION)["allocationId"])
    records = await system.records(system.topics.events, 3)
    assert 3 == len(records)
    events = {type(event): (event, facts) for event, facts in (decode_event(record.value) for record in records)}
    reserved, facts = events[AllocationReserved]
    assert (1, None, None) == (reserved.version, facts.policy, facts.account)
    cleared, facts = events[AllocationCleared]
    assert cleared.version == 2
    assert facts.account is not None
    assert (1, "0", "0") == (facts.account.sequence, facts.account.available_before, facts.account.held_before)
    refused, facts = events[DeallocationRejected]
    assert refused.version == 1
    assert facts.account is not None
    assert facts.policy is not None
    assert (2, "7", "rejected", "insufficient_balance") == (
        facts.account.sequence,
        facts.account.available_before,
        facts.policy.verdict,
        facts.policy.reason,
    )
    by_key = {record.key.decode(): dict(record.headers) for record in records}
    headers = by_key[back["deallocationId"]]
    position = Position.parse(rejected.headers["Log-Position"])
    assert {
        "ce_specversion": b"1.0",
        "ce_id": str(position).encode(),
        "ce_source": b"/allocations",
        "ce_type": b"allocations.DeallocationRejected",
        "ce_subject": back["deallocationId"].encode(),
        "content-type": b"application/json",
    }.items() <= headers.items()
    [row] = system.rows("SELECT * FROM journal WHERE command_id = %s", rejected.headers["Command-Id"])
    assert bytes(row["hash"]).hex().encode() == headers["journalhash"]


async def test_events_come_once_and_in_order_though_relays_are_killed(system: System) -> None:
    for n in range(2):
        await system.processor(f"processor-{n}")
    async with await system.ingress() as bitgo:
        acknowledged: dict[str, int] = {}

        async def traffic() -> None:
            for _ in range(40):
                body = reserve_body(Kind.ALLOCATION)
                for version, request in enumerate((bitgo.reserve, bitgo.clear), 1):
                    argument = body if version == 1 else body["allocationId"]
                    while (await request(Kind.ALLOCATION, argument)).status == 503:  # type: ignore[arg-type]
                        await asyncio.sleep(0.2)
                    acknowledged[body["allocationId"]] = version

        async def kills() -> None:
            for n in range(4):
                await asyncio.sleep(1.5)
                pid = system.kill(f"processor-{n % 2}")
                await system.supervisor.restarted(f"processor-{n % 2}", pid)

        await asyncio.gather(*[traffic() for _ in range(6)], kills())
    records = await system.records(system.topics.events, 2 * len(acknowledged), 30)
    versions: dict[str, list[int]] = {}
    for record in records:
        versions.setdefault(record.key.decode(), []).append(decode_event(record.value)[0].version)
    assert {allocation: [1, 2] for allocation in acknowledged} == versions
    journaled = system.rows('SELECT partition, "offset" FROM journal WHERE event IS NOT NULL')
    positions = [Position.parse(dict(record.headers)["ce_id"].decode()) for record in records]
    assert sorted((row["partition"], row["offset"]) for row in journaled) == sorted(
        (each.partition, each.offset) for each in positions
    )


@pytest.mark.long
async def test_a_relay_that_sleeps_is_replaced_and_fenced(system: System) -> None:
    for n in range(2):
        await system.processor(f"processor-{n}")
    async with await system.ingress() as bitgo:

        async def holder() -> str:
            while True:
                for name in ("processor-0", "processor-1"):
                    if name in system.supervisor.pids() and (await system.metrics(name))["processor_relay_active"]:
                        return name
                await asyncio.sleep(0.1)

        sleeper = await holder()
        await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))
        await system.records(system.topics.events, 1)
        system.supervisor.signal(sleeper, signal.SIGSTOP)
        other = "processor-1" if sleeper == "processor-0" else "processor-0"
        async with asyncio.timeout(30):
            while not (await system.metrics(other))["processor_relay_active"]:
                await asyncio.sleep(0.2)
        for _ in range(10):
            body = reserve_body(Kind.ALLOCATION)
            while (await bitgo.reserve(Kind.ALLOCATION, body)).status != 200:
                await asyncio.sleep(0.5)
        system.supervisor.signal(sleeper, signal.SIGCONT)
        await asyncio.sleep(2)
        await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))
        await system.caught_up()
    journaled = len(system.rows("SELECT 1 FROM journal WHERE event IS NOT NULL"))
    records = await system.records(system.topics.events, journaled)
    assert journaled == len(records) == len({dict(record.headers)["ce_id"] for record in records})


async def test_a_stranger_with_the_relays_name_does_not_stop_it_for_long(system: System) -> None:
    """Fenced by anybody, the relay starts over from what was committed."""
    await system.processor()
    stranger = AIOKafkaProducer(
        bootstrap_servers=system.kafka, transactional_id=f"{system.prefix}allocations-relay", enable_idempotence=True
    )
    async with await system.ingress() as bitgo:
        await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))
        await stranger.start()
        try:
            await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))
            assert 2 == len(await system.records(system.topics.events, 2))
        finally:
            await stranger.stop()
