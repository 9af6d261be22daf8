"""Waits that end, one timer for all."""

import asyncio

import pytest

from ingress.patience import Patience


async def test_what_comes_in_time_is_given() -> None:
    patience, future = Patience(5), asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.01, future.set_result, "it")
    assert "it" == await patience.wait(future)


async def test_what_does_not_come_is_given_up_and_the_others_go_on() -> None:
    """A second wait that began later, and a third after all timers have run out."""
    loop, patience = asyncio.get_running_loop(), Patience(0.2)
    lost, late = loop.create_future(), loop.create_future()
    first = asyncio.create_task(patience.wait(lost))
    await asyncio.sleep(0.1)
    second = asyncio.create_task(patience.wait(late))
    with pytest.raises(TimeoutError):
        await first
    assert not late.done()
    late.set_result("late")
    assert "late" == await second
    await asyncio.sleep(0.05)
    with pytest.raises(TimeoutError):
        await patience.wait(loop.create_future())


async def test_an_error_is_raised_and_who_is_cancelled_is_forgotten() -> None:
    loop, patience = asyncio.get_running_loop(), Patience(0.1)
    failed, left = loop.create_future(), loop.create_future()
    failed.set_exception(KeyError("x"))
    with pytest.raises(KeyError):
        await patience.wait(failed)
    waiting = asyncio.create_task(patience.wait(left))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert left.cancelled()
    await asyncio.sleep(0.02)
    assert not patience._deadlines
