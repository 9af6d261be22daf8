from collections.abc import AsyncIterator

import pytest

from processor.store import Connection
from tests.support.batches import Log, opened, prepare


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    async with await opened(database_url) as connection:
        await prepare(connection)
        yield connection
