"""A platform's own policy in a real processor: what it breaks is its own, and nothing halts or ends."""

import asyncio
from pathlib import Path

import pytest

from bitgo.client import BitGo, reserve_body
from schemas.words import Kind
from tests.support.limited_ingress import answers
from tests.support.system import System

POLICY = "tests.support.policy:decide"


async def reserve(bitgo: BitGo, notes: str) -> tuple[int, str | None]:
    reply = await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION, notes=notes))
    return reply.status, reply.body.get("rejectionReason")


@pytest.mark.parametrize(("what", "reason"), [("loop", "timed_out"), ("os_exit", "died")])
async def test_given_a_policy_that_fails_then_its_reserve_is_rejected_and_readyz_says_it(
    system: System, what: str, reason: str
) -> None:
    await system.processor(policy=POLICY)
    async with await system.ingress() as bitgo:
        assert (200, "not_today") == await reserve(bitgo, "refuse")
        for _ in range(6):
            assert (200, "policy_failed") == await reserve(bitgo, what)
            await answers(bitgo)
        await asyncio.sleep(1)
        status, document = await system.readyz("processor-0")
        assert 200 == status
        assert "6 times" in document["degraded"]["policy failures"]
        assert 6 == (await system.metrics("processor-0"))[f'processor_policy_failures_total{{reason="{reason}"}}']
        await answers(bitgo)
    assert [] == system.ended


async def test_given_a_policy_to_be_waited_for_then_no_partition_halts_and_the_watchdog_waits_too(
    system: System, tmp_path: Path
) -> None:
    """Longer than the watchdog lets anybody stand still. What waits is all of this processor."""
    file = tmp_path / "fails"
    file.touch()
    await system.processor(policy=POLICY, policy_on_failure="retry", stall_seconds="5")
    async with await system.ingress() as bitgo:
        await answers(bitgo)
        waiting = asyncio.create_task(reserve(bitgo, str(file)))
        await asyncio.sleep(8)
        status, document = await system.readyz("processor-0")
        assert (503, {"policy"}) == (status, set(document["problems"]))
        assert "the file is there" in document["problems"]["policy"]
        assert not waiting.done()
        file.unlink()
        assert (200, None) == await waiting
        await answers(bitgo)
        assert 200 == (await system.readyz("processor-0"))[0]
    assert [] == system.ended


async def test_given_no_such_policy_then_the_processor_ends_with_a_sentence_and_78(system: System) -> None:
    await system.processor(policy="tests.support.policy:no_such_function", wait=False)
    async with asyncio.timeout(30):
        while not system.ended:
            await asyncio.sleep(0.1)
    assert [("processor-0", 78)] == system.ended
    assert "has no no_such_function" in system.log("processor-0").read_text()
