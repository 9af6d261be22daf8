"""Background work: whatever it fails of, it is started again, and only two errors end the process (record 0019)."""

import asyncio
from contextlib import suppress

import psycopg
import pytest
from aiokafka.errors import KafkaConnectionError

from service import background
from service.background import RESTARTS, keep_running
from service.errors import OperatorError, StalledError, UnavailableError
from service.health import Health


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "RETRY_FIRST_SECONDS", 0.01)


class Work:
    """Fails of one error after the other, then goes on for ever."""

    def __init__(self, health: Health, *errors: Exception) -> None:
        self._health = health
        self._errors = list(errors)
        self.runs = 0
        self.steady = asyncio.Event()

    async def __call__(self) -> None:
        self.runs += 1
        if self._errors:
            raise self._errors.pop(0)
        self._health.well("task")
        self.steady.set()
        await asyncio.Event().wait()


def restarts(kind: str) -> float:
    return RESTARTS.labels("task", kind)._value.get()


@pytest.mark.slow
async def test_given_passing_and_unexpected_errors_then_the_work_goes_on_after_each() -> None:
    health = Health()
    errors = (
        psycopg.errors.ReadOnlySqlTransaction("cannot execute DELETE"),
        KafkaConnectionError("no broker"),
        UnavailableError("slow"),
        ValueError("a fault of ours"),
        ZeroDivisionError(),
    )
    work = Work(health, *errors)
    before = restarts("passing"), restarts("unexpected")
    task = asyncio.create_task(keep_running("task", work, health))
    await asyncio.wait_for(work.steady.wait(), 5)
    assert (6, {}) == (work.runs, health.problems)
    assert (3, 2) == (restarts("passing") - before[0], restarts("unexpected") - before[1])
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_while_it_fails_readyz_says_what_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "RETRY_FIRST_SECONDS", 60)
    health = Health()
    task = asyncio.create_task(keep_running("task", Work(health, ValueError("a fault of ours")), health))
    await asyncio.sleep(0.05)
    assert {"task": "task failed and is tried again: ValueError: a fault of ours"} == health.problems
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("error", [OperatorError("set the topic up"), StalledError("no progress")])
async def test_what_only_an_operator_or_a_restart_puts_right_ends_it(error: Exception) -> None:
    health = Health()
    with pytest.raises(type(error)):
        await keep_running("task", Work(health, error), health)
