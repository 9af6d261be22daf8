from collections.abc import AsyncIterator

import pytest

from processor.apply import Applier
from processor.store import Connection
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
async def mine(database_url: str, connection: Connection) -> AsyncIterator[Applier]:  # noqa: ARG001 - prepares the tables
    worker = applier(database_url)
    yield worker
    await worker.close()
