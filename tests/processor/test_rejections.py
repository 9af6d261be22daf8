"""The cause of a rejection is found beside the batches, from an index, whatever the account's history is."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress

import psycopg
import pytest

from processor.apply import Applier
from processor.postgres.rejections import NOT_EXAMINED, REJECTIONS, WAITING_MAX, Rejections
from schemas.words import Kind
from service.health import Health
from service.postgres import KEYED, Connection, connect
from service.settings import ServiceSettings
from service.sql import statements
from tests.support.batches import Log, finish, on


@pytest.fixture
def rejections(database_url: str) -> Rejections:
    return Rejections(ServiceSettings(postgres_url=database_url))  # type: ignore[arg-type]


@pytest.fixture
async def examining(rejections: Rejections) -> AsyncIterator[None]:
    task = asyncio.create_task(rejections.examine(Health()))
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def counted(cause: str) -> float:
    return float(REJECTIONS.labels("deallocation", "insufficient_balance", cause)._value.get())


async def rejected(worker: Applier, log: Log, rejections: Rejections, account: str, quantity: int) -> None:
    batch = await worker([log.append(on(0, account, Kind.DEALLOCATION, quantity))])
    assert "rejected" == batch.journal[0][0].status_after
    rejections.note(batch)


async def until(cause: str, count: float) -> None:
    async with asyncio.timeout(5):
        while counted(cause) < count:
            await asyncio.sleep(0.01)


@pytest.mark.usefixtures("examining")
async def test_what_a_reservation_would_have_covered_is_told_apart(
    mine: Applier, log: Log, rejections: Rejections
) -> None:
    account = str(uuid.uuid4())
    cleared = on(0, account, quantity=3)
    await mine([log.append(each) for each in (cleared, finish(cleared), on(0, account, quantity=5))])
    uncovered, covered = counted(""), counted("uncleared_allocation")
    await rejected(mine, log, rejections, account, 9)
    await until("", uncovered + 1)
    await rejected(mine, log, rejections, account, 8)
    await until("uncleared_allocation", covered + 1)
    assert uncovered + 1 == counted("")


async def test_a_flood_of_rejections_is_counted_and_not_all_of_it_examined(
    mine: Applier, log: Log, rejections: Rejections
) -> None:
    before = counted(NOT_EXAMINED)
    batch = await mine([log.append(on(0, kind=Kind.DEALLOCATION)) for _ in range(WAITING_MAX // 4)])
    for _ in range(5):
        rejections.note(batch)
    assert WAITING_MAX // 4 == counted(NOT_EXAMINED) - before


@pytest.mark.usefixtures("connection")
async def test_a_long_history_is_not_gone_through(database_url: str) -> None:
    """20,000 finished allocations of one account, and one that is reserved: few pages are read."""
    account = str(uuid.uuid4())
    with psycopg.connect(database_url, autocommit=True) as filling:
        filling.execute(
            "INSERT INTO allocation (allocation_id, kind, status, version, currency, quantity, connection_id, "
            "created_at, updated_at) SELECT gen_random_uuid(), 'allocation', "
            "CASE n WHEN 1 THEN 'reserved' ELSE 'cleared' END, 1, 'BTC', 5, %s, now(), now() "
            "FROM generate_series(1, 20000) AS n",
            (account,),
        )
        filling.execute("VACUUM ANALYZE allocation")
    async with await _connected(database_url) as connection:
        asked = {"connection_id": account, "currency": "BTC"}
        explained = await connection.execute(
            b"EXPLAIN (ANALYZE, BUFFERS) " + statements("processor.postgres")["uncleared"], asked
        )
        plan = "\n".join([row[0] async for row in explained])
    assert "allocation_open" in plan
    assert "Heap Fetches: 0" in plan


async def _connected(database_url: str) -> Connection:
    return await connect(ServiceSettings(postgres_url=database_url), "test", KEYED)  # type: ignore[arg-type]
