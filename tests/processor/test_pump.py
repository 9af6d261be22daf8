"""What the pump takes in, and in which pieces it hands it on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count

import pytest

from processor.batch import Record
from processor.pump import BATCH_MAX_RECORDS, PENDING_MAX_RECORDS, Pump
from service.health import Health
from tests.support.commands import NOON

OFFSETS = count()


def records(number: int) -> list[Record]:
    return [Record(0, next(OFFSETS), NOON, b"key", b"value", []) for _ in range(number)]


class Applied:
    """Takes batches, and what was said to follow them; waits at each until it is let go on."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[Record], list[Record]]] = []
        self.go_on = asyncio.Semaphore(0)

    async def __call__(self, batch: list[Record], following: list[Record]) -> None:
        self.calls.append((batch, following))
        await self.go_on.acquire()


async def never(_partition: int) -> None:
    raise AssertionError("nothing is to be read again")


@asynccontextmanager
async def running(apply: Applied) -> AsyncIterator[Pump]:
    pump = Pump("commands", apply, never, Health())  # type: ignore[arg-type]
    task = asyncio.create_task(pump.run())
    yield pump
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_who_offers_waits_while_there_is_no_room() -> None:
    apply = Applied()
    async with running(apply) as pump:
        await pump.offer(records(1))
        await asyncio.sleep(0.01)
        offering = asyncio.create_task(pump.offer(records(PENDING_MAX_RECORDS)))
        waiting = asyncio.create_task(pump.room())
        await asyncio.sleep(0.01)
        assert not pump.has_room()
        assert not offering.done()
        apply.go_on.release()
        await asyncio.wait_for(asyncio.gather(offering, waiting), 1)
        assert pump.has_room()


@pytest.mark.parametrize(
    ("pending", "following"),
    [
        (BATCH_MAX_RECORDS - 1, 0),
        (2 * BATCH_MAX_RECORDS - 1, 0),
        (2 * BATCH_MAX_RECORDS, BATCH_MAX_RECORDS),
        (3 * BATCH_MAX_RECORDS + 1, BATCH_MAX_RECORDS),
    ],
)
async def test_what_follows_is_told_when_it_is_certain(pending: int, following: int) -> None:
    """Both are whole batches, and the next call is about the very records that were told."""
    apply = Applied()
    async with running(apply) as pump:
        await pump.offer(records(1))
        await asyncio.sleep(0.01)
        expected = records(pending)
        offering = asyncio.create_task(pump.offer(expected))
        for _ in range(2):
            apply.go_on.release()
            await asyncio.sleep(0.02)
        told = apply.calls[1][1]
        assert expected[BATCH_MAX_RECORDS : BATCH_MAX_RECORDS + following] == told
        assert not told or told == apply.calls[2][0]
        offering.cancel()


async def test_nothing_follows_a_record_that_is_tried_by_itself() -> None:
    """A batch that can not be applied is tried record by record; what is pending then is not next."""
    calls: list[tuple[int, int]] = []

    async def apply(batch: list[Record], following: list[Record]) -> None:
        calls.append((len(batch), len(following)))
        await asyncio.sleep(0)
        if len(batch) > 1:
            raise ValueError("not all at once")

    pump = Pump("commands", apply, never, Health())  # type: ignore[arg-type]
    offering = asyncio.create_task(pump.offer(records(2 * BATCH_MAX_RECORDS)))
    running = asyncio.create_task(pump.run())
    await offering
    async with asyncio.timeout(5):
        while len(calls) < BATCH_MAX_RECORDS:
            await asyncio.sleep(0.01)
    running.cancel()
    assert (BATCH_MAX_RECORDS, BATCH_MAX_RECORDS) == calls[0]
    assert {(1, 0)} == set(calls[1:BATCH_MAX_RECORDS])
