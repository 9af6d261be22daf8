"""Who waits for company, and for how long (docs/decisions/0007-company.md)."""

import asyncio
import time

from service.company import ENOUGH, MANY, Company

LONG = 20.0


async def test_few_callers_never_wait() -> None:
    company = Company(LONG)
    async with asyncio.timeout(LONG / 2):
        for size in (1, 1, MANY - 1, 1, 2, 1):
            await company.gathered(1)
            company.left(size)


async def test_many_wait_until_as_many_have_come_as_last_time() -> None:
    company = Company(LONG)
    company.left(MANY)
    waiting = asyncio.create_task(company.gathered(1))
    await asyncio.sleep(0.05)
    company.came(MANY - 1)
    await asyncio.sleep(0.05)
    assert not waiting.done()
    company.came(MANY)
    async with asyncio.timeout(LONG / 2):
        await waiting


async def test_the_smaller_of_two_waves_waits_for_the_larger() -> None:
    company = Company(LONG)
    company.left(5)
    company.left(3)
    waiting = asyncio.create_task(company.gathered(1))
    await asyncio.sleep(0)
    company.came(3)
    await asyncio.sleep(0.05)
    assert not waiting.done()
    company.came(5)
    async with asyncio.timeout(LONG / 2):
        await waiting


async def test_what_was_long_ago_does_not_count() -> None:
    company = Company(LONG)
    for size in (5, 1, 1):
        company.left(size)
    async with asyncio.timeout(LONG / 2):
        await company.gathered(1)


async def test_nobody_waits_for_more_than_enough() -> None:
    company = Company(LONG)
    company.left(500)
    async with asyncio.timeout(LONG / 2):
        await company.gathered(ENOUGH)


async def test_nobody_waits_longer_than_a_moment() -> None:
    company = Company(0.05)
    company.left(100)
    started = time.monotonic()
    await company.gathered(1)
    assert 0.04 < time.monotonic() - started < LONG / 2


async def test_who_is_asked_to_stop_waits_no_more() -> None:
    company = Company(LONG)
    company.left(MANY)
    waiting = asyncio.create_task(company.gathered(1))
    await asyncio.sleep(0)
    company.stop_waiting()
    async with asyncio.timeout(LONG / 2):
        await waiting
        await company.gathered(1)
