"""What a server may be for a while, and no batch be lost, skipped or believed for: read-only, or without a standby."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from processor.apply import Applier
from processor.postgres import store
from service.errors import UnavailableError
from service.failures import is_passing
from service.postgres import Connection
from tests.support.batches import Log, applier, opened, prepare, reserve, rows
from tests.support.own_postgres import OwnPostgres, own_postgres


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[OwnPostgres]:
    async with own_postgres(tmp_path) as server:
        async with await opened(server.url) as connection:
            await prepare(connection)
        yield server


@pytest.fixture
async def worker(server: OwnPostgres) -> AsyncIterator[Applier]:
    worker = applier(server.url)
    yield worker
    await worker.close()


async def test_given_a_read_only_server_then_a_batch_is_tried_again_until_it_is_not(
    server: OwnPostgres, worker: Applier, log: Log
) -> None:
    record = log.append(reserve())
    server.set(default_transaction_read_only="on")
    await asyncio.sleep(0.2)
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction) as caught:
        await worker([record])
    assert is_passing(caught.value)
    server.set(default_transaction_read_only="")
    await asyncio.sleep(0.2)
    assert 1 == len((await worker([record])).journal)


async def test_given_an_absent_standby_then_a_commit_is_neither_cancelled_nor_believed(
    server: OwnPostgres, worker: Applier, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What no standby has stays invisible, whoever gives up waiting for it; then it is found, and not applied twice."""
    monkeypatch.setattr(store, "ANSWER_SECONDS", 1.0)
    await worker([log.append(reserve())])
    record = log.append(reserve())
    server.set(synchronous_standby_names="absent")
    await asyncio.sleep(0.2)
    with pytest.raises(UnavailableError):
        await worker([record])
    for _ in range(2):
        with pytest.raises((psycopg.errors.LockNotAvailable, UnavailableError)):
            await worker([record])
    assert 1 == len(rows(server.url, "SELECT 1 FROM journal"))
    await asyncio.sleep(6)  # longer than any time limit of the server
    assert 1 == len(rows(server.url, "SELECT 1 FROM journal"))
    server.set(synchronous_standby_names="")
    async with asyncio.timeout(30):
        while len(rows(server.url, "SELECT 1 FROM journal")) < 2:
            await asyncio.sleep(0.05)
    assert [] == (await worker([record])).journal
    assert 2 == len(rows(server.url, "SELECT 1 FROM allocation"))


async def test_given_a_task_that_is_cancelled_then_its_commit_is_not(
    server: OwnPostgres, worker: Applier, log: Log
) -> None:
    """A processor that is stopped while its commit waits for a standby."""
    record = log.append(reserve())
    server.set(synchronous_standby_names="absent")
    await asyncio.sleep(0.2)
    waiting = asyncio.create_task(worker([record]))
    await asyncio.sleep(0.5)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await worker.close()
    await asyncio.sleep(0.5)
    assert [] == rows(server.url, "SELECT 1 FROM journal")
    [row] = rows(server.superuser_url.replace("/allocations", "/postgres"), _WAITING)
    assert 1 == row["waiting"]
    server.set(synchronous_standby_names="")


async def test_given_a_full_queue_of_notifications_then_batches_are_committed_all_the_same(
    tmp_path: Path, log: Log
) -> None:
    """Some client listens, and sleeps in a transaction: nobody's notifications can be removed."""
    async with (
        own_postgres(tmp_path, max_notify_queue_pages="64") as server,
        await opened(server.url) as listener,
        await psycopg.AsyncConnection.connect(server.superuser_url, autocommit=True) as sleeper,
    ):
        await prepare(listener)
        await sleeper.execute("LISTEN watermark")
        await sleeper.execute("BEGIN")
        await sleeper.execute("SELECT 1")
        with pytest.raises(psycopg.errors.ProgramLimitExceeded):
            await _notify_until_the_queue_is_full(listener)
        worker = applier(server.url)
        for _ in range(3):
            assert 1 == len((await worker([log.append(reserve())])).journal)
        await worker.close()


async def _notify_until_the_queue_is_full(connection: Connection) -> None:
    for _ in range(200):
        await connection.execute("SELECT pg_notify('watermark', repeat('x', 7900))")


_WAITING = "SELECT count(*) AS waiting FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
