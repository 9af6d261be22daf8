"""SIGKILL under load, of whatever there is: every acknowledged command is in the tables, once."""

import asyncio
import time

import pytest

from bitgo.client import reserve_body
from schemas.words import Kind
from tests.faults.conftest import Machine, two_of_each
from tests.support.system import System

BACK_SECONDS = 10.0
"""Far above what was measured (see docs/operations.md), so that a busy machine fails no test."""


@pytest.mark.parametrize(
    "victims",
    [["processor-0"], ["ingress-0"], ["processor-0", "ingress-0"], ["processor-0", "processor-1"]],
    ids="+".join,
)
async def test_a_process_is_killed(fragile: System, victims: list[str]) -> None:
    async with two_of_each(fragile) as traffic:
        killed_at = 0.0

        async def kill() -> None:
            nonlocal killed_at
            killed_at = time.monotonic()
            before = {name: fragile.kill(name) for name in victims}
            for name, pid in before.items():
                await fragile.supervisor.restarted(name, pid)

        await traffic.during(kill)
        for name in fragile.health:
            await fragile.ready(name)
        await fragile.caught_up()
        traffic.check(fragile)
        silence = traffic.longest_silence(killed_at)
        print(f"{victims}: {len(traffic.answers)} answers, longest silence {silence:.2f} s, {dict(traffic.codes)}")
        assert silence < BACK_SECONDS


async def test_a_processor_is_killed_again_and_again(fragile: System) -> None:
    async with two_of_each(fragile) as traffic:

        async def kills() -> None:
            for n in range(6):
                name = f"processor-{n % 2}"
                pid = fragile.kill(name)
                await fragile.supervisor.restarted(name, pid)
                await asyncio.sleep(1.2)

        await traffic.during(kills)
        await fragile.caught_up()
        traffic.check(fragile)


@pytest.mark.parametrize("server", ["kafka", "postgres"])
async def test_a_server_is_killed(machine: Machine, fragile: System, server: str) -> None:
    async with two_of_each(fragile) as traffic:
        await traffic.during(lambda: machine.kill(server), after=5)
        for name in fragile.health:
            await fragile.ready(name)
        await fragile.caught_up()
        traffic.check(fragile)


async def test_a_token_stays_used_when_both_ingresses_were_restarted(fragile: System) -> None:
    await fragile.processor()
    first = await fragile.ingress("ingress-0")
    second = await fragile.ingress("ingress-1")
    async with first, second:
        body = reserve_body(Kind.ALLOCATION)
        headers = first.headers()
        assert (await first.call("POST", "/bitgo/v1/allocations", headers, json=body)).status == 200
        for name in ("ingress-0", "ingress-1"):
            pid = fragile.kill(name)
            await fragile.supervisor.restarted(name, pid)
            await fragile.ready(name)
        for bitgo in (first, second):
            assert (await bitgo.call("POST", "/bitgo/v1/allocations", headers, json=body)).status == 401
            assert (await bitgo.reserve(Kind.ALLOCATION, body)).status == 200


async def test_an_ingress_that_is_asked_to_stop_finishes_what_is_in_flight(fragile: System) -> None:
    """SIGTERM while a write waits for a processor that is not there yet."""
    await fragile.processor()
    async with await fragile.ingress("ingress-0") as bitgo:
        await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))
        await fragile.supervisor.remove("processor-0")
        waiting = asyncio.create_task(bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION)))
        await asyncio.sleep(0.3)
        leaving = asyncio.create_task(fragile.supervisor.remove("ingress-0"))
        await asyncio.sleep(0.3)
        await fragile.processor("processor-1")
        reply = await waiting
        await leaving
    assert (200, "reserved") == (reply.status, reply.body["status"])
    assert "stopped" in fragile.log("ingress-0").read_text().splitlines()[-1]
