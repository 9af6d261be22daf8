from collections.abc import AsyncIterator

import pytest

from processor.apply import Applier
from processor.domain.rows import LoadedRows, Wanted
from processor.postgres import tables
from service.postgres import Connection
from tests.support.batches import Log, applier, opened, prepare


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    async with await opened(database_url) as connection:
        await prepare(connection)
        yield connection


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each time that rows were loaded, to be cleared by the test: its number of ids."""
    sizes: list[int] = []
    load = tables.load

    async def counted(connection: Connection, wanted: Wanted) -> LoadedRows:
        sizes.append(len(wanted.allocation_ids))
        return await load(connection, wanted)

    monkeypatch.setattr(tables, "load", counted)
    return sizes


@pytest.fixture
async def theirs(database_url: str, connection: Connection) -> AsyncIterator[Applier]:  # noqa: ARG001 - prepares the tables
    worker = applier(database_url)
    yield worker
    await worker.close()


@pytest.fixture
async def mine(database_url: str, connection: Connection) -> AsyncIterator[Applier]:  # noqa: ARG001 - prepares the tables
    worker = applier(database_url)
    yield worker
    await worker.close()
