"""A write has one deadline, from its head on: whatever it waits for, it is answered by then (decision 10)."""

import asyncio
import signal
import time

import psycopg

from bitgo.client import BitGo, reserve_body
from schemas.words import Kind
from tests.support.limited_ingress import answers
from tests.support.system import System

ANSWER_SECONDS = 2.0
HELD_SECONDS = 1.5


async def test_given_a_slow_claim_and_no_processor_then_both_waits_end_at_one_deadline(system: System) -> None:
    """The claim waits for a lock for most of the time, and the outcome has only the rest."""
    await system.processor()
    async with await system.ingress(answer_timeout_seconds=str(ANSWER_SECONDS)) as bitgo:
        await answers(bitgo)
        system.supervisor.signal("processor-0", signal.SIGSTOP)
        try:
            seconds = await _claimed_late(system, bitgo, HELD_SECONDS)
        finally:
            system.supervisor.signal("processor-0", signal.SIGCONT)
    assert ANSWER_SECONDS - 0.2 < seconds < ANSWER_SECONDS + HELD_SECONDS


async def _claimed_late(system: System, bitgo: BitGo, held_seconds: float) -> float:
    """Hold the table of claims for a while; gives how long the write took."""
    async with await psycopg.AsyncConnection.connect(system.database_url) as blocker:
        await blocker.execute("LOCK TABLE token_claim IN ACCESS EXCLUSIVE MODE")
        started = time.monotonic()
        waiting = asyncio.create_task(bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION)))
        await asyncio.sleep(held_seconds)
        await blocker.rollback()
    reply = await waiting
    assert (503, "outcome_pending") == (reply.status, reply.body["code"])
    return time.monotonic() - started


async def test_given_a_write_in_flight_then_a_process_that_stops_answers_it_first(system: System) -> None:
    await system.processor()
    async with await system.ingress(answer_timeout_seconds=str(ANSWER_SECONDS)) as bitgo:
        await answers(bitgo)
        system.supervisor.signal("processor-0", signal.SIGSTOP)
        try:
            waiting = asyncio.create_task(bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION)))
            await asyncio.sleep(0.3)
            started = time.monotonic()
            await system.supervisor.remove("ingress-0")
            reply = await waiting
        finally:
            system.supervisor.signal("processor-0", signal.SIGCONT)
    assert (503, "outcome_pending") == (reply.status, reply.body["code"])
    assert time.monotonic() - started < ANSWER_SECONDS + 2
