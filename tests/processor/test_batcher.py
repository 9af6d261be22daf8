"""What the batcher takes in, in which pieces it hands it on, and what it does when that fails."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count

import psycopg
import pytest

from processor.apply import GapError
from processor.domain.batch import Record
from processor.kafka import batcher as module
from processor.kafka import halts
from processor.kafka.batcher import BATCH_MAX_RECORDS, PENDING_MAX_RECORDS, Batcher
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
async def running(apply: Applied) -> AsyncIterator[Batcher]:
    batcher = Batcher("commands", apply, never, Health())  # type: ignore[arg-type]
    task = asyncio.create_task(batcher.run())
    yield batcher
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_who_offers_waits_while_there_is_no_room() -> None:
    apply = Applied()
    async with running(apply) as batcher:
        await batcher.offer(records(1))
        await asyncio.sleep(0.01)
        offering = asyncio.create_task(batcher.offer(records(PENDING_MAX_RECORDS)))
        waiting = asyncio.create_task(batcher.room())
        await asyncio.sleep(0.01)
        assert not batcher.has_room()
        assert not offering.done()
        apply.go_on.release()
        await asyncio.wait_for(asyncio.gather(offering, waiting), 1)
        assert batcher.has_room()


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
    async with running(apply) as batcher:
        await batcher.offer(records(1))
        await asyncio.sleep(0.01)
        expected = records(pending)
        offering = asyncio.create_task(batcher.offer(expected))
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

    batcher = Batcher("commands", apply, never, Health())  # type: ignore[arg-type]
    offering = asyncio.create_task(batcher.offer(records(2 * BATCH_MAX_RECORDS)))
    running = asyncio.create_task(batcher.run())
    await offering
    async with asyncio.timeout(30):
        while len(calls) < BATCH_MAX_RECORDS:
            await asyncio.sleep(0.01)
    running.cancel()
    assert [(BATCH_MAX_RECORDS, BATCH_MAX_RECORDS)] * 2 == calls[:2]
    assert {(1, 0)} == set(calls[2:BATCH_MAX_RECORDS])


async def test_a_batch_is_bounded_by_bytes_and_so_is_what_is_pending(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH_MAX_BYTES", 100)
    monkeypatch.setattr(module, "PENDING_MAX_BYTES", 200)
    apply = Applied()
    large = [Record(0, n, NOON, b"", b"x" * size, []) for n, size in enumerate((60, 30, 30, 250, 10))]
    async with running(apply) as batcher:
        offering = asyncio.create_task(batcher.offer(large))
        await asyncio.sleep(0.01)
        assert not offering.done()
        assert not batcher.has_room()
        for _ in large:
            apply.go_on.release()
        await asyncio.wait_for(offering, 1)
        await asyncio.sleep(0.05)
        assert batcher.has_room()
    assert [[0, 1], [2], [3], [4]] == [[record.offset for record in batch] for batch, _ in apply.calls]


class Faulty:
    """Applies records in order per partition, as an applier does, and fails as the test says."""

    def __init__(self) -> None:
        self.next_offsets = {0: 0, 1: 0}
        self.rewinds: list[int] = []
        self.failing: dict[tuple[int, int], list[Exception]] = {}
        """By partition and offset, what its next tries fail of."""
        self.fails_unread = False
        """Whether that is found before any gap, as when a record is of a newer schema."""

    async def apply(self, batch: list[Record], _following: list[Record]) -> None:
        if self.fails_unread:
            self._fail(batch)
        expected = dict(self.next_offsets)
        for record in batch:
            if record.offset > expected[record.partition]:
                raise GapError(record.partition, expected[record.partition], record.offset)
            expected[record.partition] = max(record.offset + 1, expected[record.partition])
        self._fail(batch)
        self.next_offsets = expected

    def _fail(self, batch: list[Record]) -> None:
        for record in batch:
            if left := self.failing.get((record.partition, record.offset)):
                raise left.pop(0)

    async def rewind(self, partition: int) -> None:
        self.rewinds.append(partition)


@asynccontextmanager
async def batching(faulty: Faulty) -> AsyncIterator[tuple[Batcher, Health]]:
    health = Health()
    batcher = Batcher("commands", faulty.apply, faulty.rewind, health)  # type: ignore[arg-type]
    task = asyncio.create_task(batcher.run())
    yield batcher, health
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def at(partition: int, *offsets: int) -> list[Record]:
    return [Record(partition, offset, NOON, b"key", b"value", []) for offset in offsets]


@pytest.mark.slow
@pytest.mark.parametrize("fails_unread", [False, True])
async def test_given_a_gap_and_a_failure_in_one_batch_then_only_the_failing_partition_halts(
    *, fails_unread: bool
) -> None:
    """The records behind the gap are stale once the partition is read again: they must not halt it."""
    faulty = Faulty()
    faulty.fails_unread = fails_unread
    faulty.failing = {(1, 0): [ValueError("broken")] * 9}
    async with batching(faulty) as (batcher, _):
        await batcher.offer([*at(0, 2, 3, 4), *at(1, 0, 1)])
        await asyncio.sleep(0.05)
        assert ([0], [1]) == (faulty.rewinds, list(batcher.halts))
        await batcher.offer(at(0, 0, 1, 2, 3, 4))
        await asyncio.sleep(0.05)
    assert {0: 5, 1: 0} == faulty.next_offsets


async def test_given_a_gap_before_a_failing_record_then_what_is_stale_of_the_partition_is_dropped() -> None:
    """Tried record by record, each of them would find the gap again, and the second halt the partition."""
    faulty = Faulty()
    faulty.fails_unread = True
    faulty.failing = {(0, 4): [ValueError("broken")] * 2}
    async with batching(faulty) as (batcher, _):
        await batcher.offer(at(0, 2, 3, 4))
        await until(lambda: bool(faulty.rewinds))
        await asyncio.sleep(0.02)
        assert ([0], []) == (faulty.rewinds, list(batcher.halts))
        await batcher.offer(at(0, 0, 1, 2, 3, 4))
        await until(lambda: faulty.next_offsets[0] == 5)


async def test_given_an_error_of_one_connection_when_tried_on_another_then_nothing_halts() -> None:
    faulty = Faulty()
    faulty.failing = {(0, 0): [ValueError("prepared statement does not exist")]}
    async with batching(faulty) as (batcher, health):
        await batcher.offer(at(0, 0))
        await until(lambda: faulty.next_offsets[0] == 1)
        assert {} == health.problems


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.mark.slow
async def test_a_halted_partition_is_tried_again_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """And is said to be halted until it is applied."""
    monkeypatch.setattr(halts, "RETRY_FIRST_SECONDS", 0.2)
    faulty = Faulty()
    faulty.failing = {(0, 1): [ValueError("broken")] * 8}
    async with batching(faulty) as (batcher, health):
        await batcher.offer(at(0, 0, 1, 2))
        await until(lambda: 0 in batcher.halts)
        await batcher.offer(at(0, 3))
        for tries in (1, 2):
            await until(lambda tries=tries: len(faulty.rewinds) >= tries)  # type: ignore[misc]
            assert "halted at offset 1: ValueError: broken" in health.problems["partition 0"]
            await batcher.offer(at(0, 1, 2, 3))
        await until(lambda: not health.problems)
    assert ({0: 4, 1: 0}, {0}) == (faulty.next_offsets, set(faulty.rewinds))


async def test_while_postgres_is_unwilling_the_same_batch_is_tried_again() -> None:
    faulty = Faulty()
    faulty.failing = {(0, 0): [psycopg.errors.ReadOnlySqlTransaction("cannot execute UPDATE")] * 2}
    async with batching(faulty) as (batcher, health):
        await batcher.offer(at(0, 0))
        await until(lambda: "ReadOnlySqlTransaction" in health.problems.get("postgres", ""))
        await until(lambda: not health.problems)
    assert (1, []) == (faulty.next_offsets[0], faulty.rewinds)


async def test_given_records_that_come_while_a_partition_is_rewound_then_they_are_dropped_too() -> None:
    """They are from the position before; in front of the right ones they would be a gap."""
    faulty = Faulty()
    arriving = asyncio.Event()

    async def rewind(partition: int) -> None:
        faulty.rewinds.append(partition)
        arriving.set()
        await asyncio.sleep(0.05)

    health = Health()
    batcher = Batcher("commands", faulty.apply, rewind, health)  # type: ignore[arg-type]
    task = asyncio.create_task(batcher.run())
    for _ in range(2):
        arriving.clear()
        batcher.read_again(0)
        await arriving.wait()
        await batcher.offer(at(0, 7, 8))
        await asyncio.sleep(0.1)
    await batcher.offer(at(0, 0, 1))
    await until(lambda: faulty.next_offsets[0] == 2)
    assert ([0, 0], {}) == (faulty.rewinds, health.problems)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
