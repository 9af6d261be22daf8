"""What sleeps and wakes: processes, Postgres, Kafka. Nothing is lost or done twice; everything goes on by itself."""

import asyncio
import json
import signal
import time
from typing import Any

import psycopg
import pytest

from bitgo.client import BitGo, Reply, reserve_body
from schemas.records import key_of
from schemas.topics import partition_of
from schemas.words import Kind
from tests.faults.conftest import Machine, two_of_each
from tests.support.servers import Servers
from tests.support.system import System


@pytest.mark.parametrize("server", ["postgres", "kafka"])
async def test_a_server_sleeps_for_ten_seconds_under_load(machine: Machine, fragile: System, server: str) -> None:
    async with two_of_each(fragile, answer_timeout_seconds="4") as traffic:

        async def sleep() -> None:
            async with machine.asleep(server):
                await asyncio.sleep(9)
                for name in fragile.health:
                    status, document = await fragile.readyz(name)
                    assert status == 503, f"{name} is ready while {server} sleeps: {document}"
                await asyncio.sleep(1)

        await traffic.during(sleep, after=4)
        for name in fragile.health:
            await fragile.ready(name)
        await fragile.caught_up()
        traffic.check(fragile)
        assert {"unavailable", "outcome_pending"} & traffic.codes.keys()
        assert traffic.codes.keys() <= {"unavailable", "outcome_pending", "reserved", "cleared", "released"}


@pytest.mark.parametrize("loads", [True, False], ids=["loads", "remembers"])
async def test_a_processor_sleeps_inside_its_transaction_and_another_takes_over(
    fragile: System, *, loads: bool
) -> None:
    """One that has loaded its rows is to write yet: its locks are taken from it within seconds, and when it wakes it
    can change nothing. One that remembered them has sent everything already: Postgres commits it without its help.
    """
    await fragile.processor("processor-0")
    async with await fragile.ingress(answer_timeout_seconds="15") as bitgo:
        body = reserve_body(Kind.ALLOCATION, 7)
        await bitgo.reserve(Kind.ALLOCATION, body)
        await bitgo.clear(Kind.ALLOCATION, body["allocationId"])
        if loads:
            fragile.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'allocations-processor' AND datname = current_database()"
            )
        waiting = await _stopped_inside_a_transaction(fragile, bitgo, body)
        slept_at = time.monotonic()
        await fragile.processor("processor-1", wait=False)
        reply = await waiting
        taken_after = time.monotonic() - slept_at
        assert (200, "reserved") == (reply.status, reply.body["status"])

        fragile.supervisor.signal("processor-0", signal.SIGCONT)
        for _ in range(10):
            other = reserve_body(Kind.ALLOCATION)
            answer = await bitgo.reserve(Kind.ALLOCATION, other)
            assert (200, "reserved") == (answer.status, answer.body["status"])
        await fragile.caught_up()
    print(f"taken over {taken_after:.1f} s after it fell asleep")
    held = fragile.rows("SELECT available, held, sequence FROM account WHERE held > 0")
    assert [{"available": 4, "held": 3, "sequence": 2}] == held
    waits = [float(each["wait"]) for each in _waits(fragile)]
    assert max(waits, default=0.0) < 5, "a batch waited for the sleeper longer than five seconds"


async def _stopped_inside_a_transaction(system: System, bitgo: BitGo, funded: dict[str, Any]) -> "asyncio.Task[Reply]":
    """A deallocation is being applied; its transaction waits for the account that we lock; then its process sleeps."""
    blocker = await psycopg.AsyncConnection.connect(system.database_url)
    await blocker.execute("SELECT * FROM account WHERE connection_id = %s FOR UPDATE", (funded["connectionId"],))
    back = reserve_body(Kind.DEALLOCATION, 3, connectionId=funded["connectionId"])
    waiting = asyncio.create_task(bitgo.reserve(Kind.DEALLOCATION, back))
    async with asyncio.timeout(5):
        while not system.rows(
            "SELECT 1 FROM pg_stat_activity WHERE application_name = 'allocations-processor' "
            "AND wait_event_type = 'Lock' AND datname = current_database()"
        ):
            await asyncio.sleep(0.02)
    system.supervisor.signal("processor-0", signal.SIGSTOP)
    await blocker.rollback()
    await blocker.close()
    return waiting


def _waits(system: System) -> list[dict[str, str]]:
    lines = [json.loads(line) for line in system.log("processor-1").read_text().splitlines() if line.startswith("{")]
    return [{"wait": str(line["duration_ms"] / 1000)} for line in lines if line["event"] == "batch_applied"]


async def test_a_command_that_reaches_the_log_after_its_deadline_changes_nothing(
    machine: Machine, fragile: System
) -> None:
    """Kafka sleeps for 20 s with the command in the producer's hands: it is journaled as expired."""
    await fragile.processor()
    async with await fragile.ingress(answer_timeout_seconds="3") as bitgo:
        assert (await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))).status == 200
        body = reserve_body(Kind.ALLOCATION)
        async with machine.asleep("kafka"):
            started = time.monotonic()
            pending = await bitgo.reserve(Kind.ALLOCATION, body)
            assert (503, "outcome_pending") == (pending.status, pending.body["code"])
            refused = await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))
            assert (503, "unavailable") == (refused.status, refused.body["code"])
            await asyncio.sleep(20 - (time.monotonic() - started))
        async with asyncio.timeout(30):
            while not (found := fragile.rows("SELECT * FROM journal WHERE subject_id = %s", body["allocationId"])):
                await asyncio.sleep(0.2)
        assert [("refused", "expired")] == [(row["outcome"], row["reason"]) for row in found]
        assert [] == fragile.rows("SELECT 1 FROM allocation WHERE allocation_id = %s", body["allocationId"])
        await fragile.ready("ingress-0")
        again = await bitgo.reserve(Kind.ALLOCATION, body)
        assert (200, "reserved", "1") == (again.status, again.body["status"], again.headers["Allocation-Version"])


async def test_without_postgres_a_token_is_neither_good_nor_bad(machine: Machine, fragile: System) -> None:
    await fragile.processor()
    async with await fragile.ingress() as bitgo:
        body = reserve_body(Kind.ALLOCATION)
        await bitgo.reserve(Kind.ALLOCATION, body)
        async with machine.asleep("postgres"):
            write = await bitgo.clear(Kind.ALLOCATION, body["allocationId"])
            read = await bitgo.status(Kind.ALLOCATION, body["allocationId"])
            partners = "/api/network/v1/enterprises/enterprise-1/partners/allocations"
            listed = await bitgo.call("GET", partners)
            bad = await bitgo.call("GET", partners, {})
        for reply in (write, read):
            assert (503, "unavailable") == (reply.status, reply.body["code"])
            assert "Retry-After" in reply.headers
        assert (503, 401) == (listed.status, bad.status)
        await fragile.ready("ingress-0")
        assert (await bitgo.clear(Kind.ALLOCATION, body["allocationId"])).status == 200


async def test_every_partition_is_served_after_a_takeover_without_a_restart(fragile: System) -> None:
    """A processor that does not come back: the other has its partitions after the session timeout."""
    for n in range(2):
        await fragile.processor(f"processor-{n}")
    async with await fragile.ingress() as bitgo:
        fragile.supervisor.signal("processor-0", signal.SIGSTOP)
        started, seen = time.monotonic(), set()
        async with asyncio.timeout(40):
            while len(seen) < 8:
                body = reserve_body(Kind.ALLOCATION)
                if (await bitgo.reserve(Kind.ALLOCATION, body)).status == 200:
                    seen.add(partition_of(key_of(body["allocationId"]), 8))
        print(f"all partitions served {time.monotonic() - started:.1f} s after a processor fell asleep")


def test_the_servers_of_this_folder_are_its_own(machine: Machine, servers: Servers) -> None:
    assert machine.servers.kafka != servers.kafka
