"""Who lingers, and for how long (docs/decisions/0007-adaptive-linger.md)."""

import asyncio
import time

from service.linger import GROUP_MAX, GROUP_MIN, AdaptiveLinger

LONG = 20.0


async def test_few_callers_never_wait() -> None:
    linger = AdaptiveLinger(LONG)
    async with asyncio.timeout(LONG / 2):
        for size in (1, 1, GROUP_MIN - 1, 1, 2, 1):
            await linger.wait(1)
            linger.took(size)


async def test_many_wait_until_as_many_have_come_as_last_time() -> None:
    linger = AdaptiveLinger(LONG)
    linger.took(GROUP_MIN)
    waiting = asyncio.create_task(linger.wait(1))
    await asyncio.sleep(0.05)
    linger.arrived(GROUP_MIN - 1)
    await asyncio.sleep(0.05)
    assert not waiting.done()
    linger.arrived(GROUP_MIN)
    async with asyncio.timeout(LONG / 2):
        await waiting


async def test_the_smaller_of_two_waves_waits_for_the_larger() -> None:
    linger = AdaptiveLinger(LONG)
    linger.took(5)
    linger.took(3)
    waiting = asyncio.create_task(linger.wait(1))
    await asyncio.sleep(0)
    linger.arrived(3)
    await asyncio.sleep(0.05)
    assert not waiting.done()
    linger.arrived(5)
    async with asyncio.timeout(LONG / 2):
        await waiting


async def test_what_was_long_ago_does_not_count() -> None:
    linger = AdaptiveLinger(LONG)
    for size in (5, 1, 1):
        linger.took(size)
    async with asyncio.timeout(LONG / 2):
        await linger.wait(1)


async def test_nobody_waits_for_more_than_enough() -> None:
    linger = AdaptiveLinger(LONG)
    linger.took(500)
    async with asyncio.timeout(LONG / 2):
        await linger.wait(GROUP_MAX)


async def test_nobody_waits_longer_than_a_moment() -> None:
    linger = AdaptiveLinger(0.05)
    linger.took(100)
    started = time.monotonic()
    await linger.wait(1)
    assert 0.04 < time.monotonic() - started < LONG / 2


async def test_who_is_asked_to_stop_waits_no_more() -> None:
    linger = AdaptiveLinger(LONG)
    linger.took(GROUP_MIN)
    waiting = asyncio.create_task(linger.wait(1))
    await asyncio.sleep(0)
    linger.stop()
    async with asyncio.timeout(LONG / 2):
        await waiting
        await linger.wait(1)
