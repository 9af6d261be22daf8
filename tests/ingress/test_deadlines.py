"""Waits that end at a deadline, one timer for all."""

import asyncio

import pytest

from ingress.deadlines import Deadlines


def in_seconds(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_what_comes_in_time_is_given() -> None:
    deadlines, future = Deadlines(), asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.01, future.set_result, "it")
    assert "it" == await deadlines.wait(future, in_seconds(5))


async def test_each_wait_ends_at_its_own_deadline_whichever_began_first() -> None:
    loop, deadlines = asyncio.get_running_loop(), Deadlines()
    ended: list[str] = []

    async def wait(name: str, seconds: float) -> None:
        with pytest.raises(TimeoutError):
            await deadlines.wait(loop.create_future(), in_seconds(seconds))
        ended.append(name)

    async with asyncio.timeout(2):
        await asyncio.gather(wait("third", 0.3), wait("first", 0.1), wait("second", 0.2), wait("zeroth", -1))
    assert ["zeroth", "first", "second", "third"] == ended


async def test_what_does_not_come_is_given_up_and_the_others_go_on() -> None:
    """A second wait that ends later, and a third after all timers have run out."""
    loop, deadlines = asyncio.get_running_loop(), Deadlines()
    lost, late = loop.create_future(), loop.create_future()
    first = asyncio.create_task(deadlines.wait(lost, in_seconds(0.2)))
    second = asyncio.create_task(deadlines.wait(late, in_seconds(0.4)))
    with pytest.raises(TimeoutError):
        await first
    assert not late.done()
    late.set_result("late")
    assert "late" == await second
    await asyncio.sleep(0.3)
    with pytest.raises(TimeoutError):
        await deadlines.wait(loop.create_future(), in_seconds(0.1))


async def test_an_error_is_raised_and_who_is_cancelled_is_forgotten() -> None:
    loop, deadlines = asyncio.get_running_loop(), Deadlines()
    failed, left = loop.create_future(), loop.create_future()
    failed.set_exception(KeyError("x"))
    with pytest.raises(KeyError):
        await deadlines.wait(failed, in_seconds(0.1))
    waiting = asyncio.create_task(deadlines.wait(left, in_seconds(0.1)))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert left.cancelled()
    await asyncio.sleep(0.02)
    assert not deadlines._deadlines
