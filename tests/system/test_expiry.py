"""A reservation that BitGo forgot is released, where the platform wants it so; by a command on the log."""

import asyncio
import uuid
from contextlib import suppress

import pytest

from bitgo.client import BitGo, reserve_body
from processor.kafka import expiry
from processor.kafka.expiry import Expiry
from processor.settings import ProcessorSettings
from schemas.words import Kind
from service.health import Health
from tests.support.system import ENTERPRISE, System

EXPIRED = "expired: BitGo neither cleared nor released it in time"
PARTNERS = f"/api/network/v1/enterprises/{ENTERPRISE}/partners/allocations"


async def reason(bitgo: BitGo, allocation_id: str) -> str | None:
    reply = await bitgo.call("GET", f"{PARTNERS}/{allocation_id}")
    found: str | None = reply.body["allocation"]["reason"]
    return found


async def test_given_a_reservation_is_too_old_then_it_is_released_and_a_clear_comes_too_late(system: System) -> None:
    await system.processor(reserve_expires_after_seconds="2")
    async with await system.ingress() as bitgo:
        cleared, forgotten = (reserve_body(Kind.ALLOCATION) for _ in range(2))
        for body in cleared, forgotten:
            assert "reserved" == (await bitgo.reserve(Kind.ALLOCATION, body)).body["status"]
        assert 200 == (await bitgo.clear(Kind.ALLOCATION, cleared["allocationId"])).status
        same = ("clientId", "connectionId", "partnersConnectionId")
        back = reserve_body(Kind.DEALLOCATION, **{each: cleared[each] for each in same})
        assert "reserved" == (await bitgo.reserve(Kind.DEALLOCATION, back)).body["status"]
        async with asyncio.timeout(30):
            while not {forgotten["allocationId"], back["deallocationId"]} <= expired(system):
                await asyncio.sleep(0.1)
        late = await bitgo.clear(Kind.ALLOCATION, forgotten["allocationId"])
        assert (409, "already_released") == (late.status, late.body["code"])
        assert EXPIRED == await reason(bitgo, forgotten["allocationId"])
        assert await reason(bitgo, cleared["allocationId"]) is None
    assert [{"available": 5, "held": 0}] == system.rows("SELECT available::int, held::int FROM account")


RESERVED = """
    INSERT INTO allocation (
        allocation_id, kind, status, version, currency, quantity, client_id, connection_id, partners_connection_id,
        partner_allocation_id, edition, created_at, updated_at
    )
    SELECT %s, 'allocation', 'reserved', 1, 'BTC', 5, %s, %s, 'account', 'mine', '{}', at, at
    FROM (SELECT now() - interval '1 hour' AS at) AS an_hour_ago
    RETURNING 1
"""


async def test_given_nothing_applies_the_releases_then_each_is_published_once_and_later_again(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than are asked for at once: the first do not keep the others waiting."""
    monkeypatch.setattr(expiry, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(expiry, "RELEASES_AT_ONCE", 2)
    ids = {str(uuid.uuid4()) for _ in range(5)}
    for each in ids:
        system.rows(RESERVED, each, str(uuid.uuid4()), str(uuid.uuid4()))
    common = system.settings().model_dump() | {"instance_id": "processor-0"}
    work = Expiry(ProcessorSettings(**common), system.partitions, 60, Health())
    assert ids == await published_during(system, work, seconds=2)
    monkeypatch.setattr(expiry, "RETRY_SECONDS", 0)
    assert len(ids) < len(await commands_of(system, work, seconds=1))


async def published_during(system: System, work: Expiry, seconds: float) -> set[str]:
    found = await commands_of(system, work, seconds)
    assert len(set(found)) == len(found), "something was asked for twice"
    return set(found)


async def commands_of(system: System, work: Expiry, seconds: float) -> list[str]:
    """The keys of all that is in the topic after the work went on for so long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await work.run()
    return [(record.key or b"").decode() for record in await system.records(system.topics.commands, 1)]


def expired(system: System) -> set[str]:
    rows = system.rows("SELECT allocation_id::text FROM allocation WHERE release_cause = 'expiry'")
    return {row["allocation_id"] for row in rows}
