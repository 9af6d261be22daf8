"""A reservation that BitGo forgot is released, where the platform wants it so; by a command on the log."""

import asyncio

from bitgo.client import BitGo, reserve_body
from schemas.words import Kind
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


def expired(system: System) -> set[str]:
    rows = system.rows("SELECT allocation_id::text FROM allocation WHERE release_cause = 'expiry'")
    return {row["allocation_id"] for row in rows}
