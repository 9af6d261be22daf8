"""Outcomes come with the notification of a commit; without it they are read, and answers are the same (record 0015)."""

from bitgo.client import reserve_body
from schemas.notices import CHANNEL
from schemas.words import Kind
from tests.support.system import System


async def outcomes(system: System) -> tuple[float, float]:
    """How many were told, and how many read."""
    found = await system.metrics("ingress-0")
    return tuple(found.get(f'ingress_outcomes_total{{by="{by}"}}', 0.0) for by in ("told", "read"))  # type: ignore[return-value]


async def test_what_is_told_need_not_be_read(system: System) -> None:
    await system.processor()
    async with await system.ingress() as bitgo:
        for _ in range(20):
            body = reserve_body(Kind.ALLOCATION)
            assert (await bitgo.reserve(Kind.ALLOCATION, body)).body["status"] == "reserved"
            assert (await bitgo.clear(Kind.ALLOCATION, body["allocationId"])).body["status"] == "cleared"
        told, read = await outcomes(system)
    assert told + read == 40
    assert told >= 30, "the first ones may be read: a poll is as quick as a new connection"


async def test_without_notifications_the_rows_are_read(system: System) -> None:
    await system.processor()
    async with await system.ingress() as bitgo:
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
        assert (await outcomes(system))[1] >= 5


async def test_a_foreign_notification_is_passed_over(system: System) -> None:
    await system.processor()
    async with await system.ingress() as bitgo:
        before = system.supervisor.pids()["ingress-0"]
        for payload in ("", "{", '{"1": 5}', '{"next": {"0": 1}, "outcomes": [[1]]}'):
            system.rows("SELECT pg_notify(%s, %s)", CHANNEL, payload)
            assert (await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))).status == 200
        assert before == system.supervisor.pids()["ingress-0"]
    assert 4 == system.log("ingress-0").read_text().count("foreign_notification")
