"""A processor's access to the tables: one connection, replaced after any error, and a row cache."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from processor.domain.batch import Batch, Read, usages_of, wanted
from processor.domain.policy import Connections, PolicySettings
from processor.domain.rows import LoadedRows, Wanted
from processor.postgres import tables
from processor.postgres.row_cache import RowCache
from processor.postgres.tables import OutdatedError
from service.errors import UnavailableError
from service.postgres import KEYED, Connection, connect
from service.settings import ServiceSettings

ANSWER_SECONDS: Final = 10.0
"""The server aborts a transaction after 5 s, unless its commit waits for a synchronous standby. After this time the
connection is dropped and nothing is cancelled; whether it was committed is known once the rows can be read again."""


class Store:
    """Callers cannot tell whether a row was loaded or cached. The cache lives as long as the connection, which holds a
    lock against a rebuild.
    """

    def __init__(self, settings: ServiceSettings, policy: PolicySettings) -> None:
        self._settings = settings
        self._policy = policy
        self._connection: Connection | None = None
        self._cache = RowCache()

    async def load(self, reads: Sequence[Read]) -> LoadedRows:
        """The rows that the records need. Raises UnavailableError and psycopg.Error."""
        asked = self._wanted(reads)
        return self._cache.rows(reads, asked) or await self._load(asked)

    def cached(self, reads: Sequence[Read]) -> LoadedRows | None:
        """The rows that the records need, if all are cached."""
        return self._cache.rows(reads, self._wanted(reads))

    def _wanted(self, reads: Sequence[Read]) -> Wanted:
        registered = self._policy.connections is Connections.REGISTERED
        return wanted(reads, connections=registered, usages=usages_of(reads, self._policy))

    async def _load(self, asked: Wanted) -> LoadedRows:
        async with self._connected() as connection:
            loaded = await tables.load(connection, asked)
        self._cache.check(loaded.watermarks)
        self._cache.keep_absent(asked.connection_ids - loaded.connections.keys())
        return loaded

    async def load_journaled(self, positions: Sequence[tuple[int, int]]) -> dict[tuple[int, int], Any]:
        async with self._connected() as connection:
            return await tables.load_journaled(connection, positions)

    async def commit(self, batch: Batch) -> None:
        """Cache the rows that a batch writes, and commit it; if that fails, the cache is cleared.

        Raises OutdatedError with nothing written and the cache empty; UnavailableError and psycopg.Error when it is not
        known whether it was committed.
        """
        async with self._connected() as connection:
            self._cache.keep(batch)
            try:
                await tables.commit(connection, batch)
            except OutdatedError:
                self._cache.missed(batch)
                raise

    def forget(self) -> None:
        """Clear the cache: the next rows are loaded."""
        self._cache.clear()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connection]:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                if self._connection is None:
                    self._connection = await self._connect()
                yield self._connection
        except OutdatedError:
            raise
        except TimeoutError:
            await self.close()
            raise UnavailableError(f"Postgres did not answer within {ANSWER_SECONDS:.0f} s") from None
        except BaseException:
            await self.close()
            raise

    async def _connect(self) -> Connection:
        """A connection that holds the shared lock against a rebuild."""
        connection = await connect(self._settings, "allocations-processor", KEYED)
        try:
            await tables.share_tables(connection)
        except BaseException:
            await connection.close()
            raise
        return connection

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        self.forget()
        if connection is not None:
            await connection.close()
