"""Connections to Postgres: what psycopg's own would do at a cancellation, and ours does not (decision 2)."""

import asyncio
import inspect

import psycopg
import pytest

from service.postgres import SERVER_LIMITS, WAIT_INTERVAL, Connection, connect
from service.settings import ServiceSettings


async def _connected(database_url: str) -> Connection:
    return await connect(ServiceSettings(postgres_url=database_url), "test")  # type: ignore[arg-type]


async def test_a_call_that_is_cancelled_drops_its_connection_and_leaves_the_statement_to_the_server(
    database_url: str,
) -> None:
    connection = await _connected(database_url)
    pid = connection.info.backend_pid
    statement = "SELECT pg_sleep(1); CREATE TABLE it_came_to_its_end ()"
    call = asyncio.create_task(connection.execute(statement))
    await asyncio.sleep(0.2)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert connection.closed
    async with await _connected(database_url) as other:
        async with asyncio.timeout(10):
            while await _is_alive(other, pid):
                await asyncio.sleep(0.1)
        cursor = await other.execute("SELECT to_regclass('it_came_to_its_end') IS NOT NULL")
        assert (True,) == await cursor.fetchone()


async def _is_alive(connection: Connection, pid: int) -> bool:
    cursor = await connection.execute("SELECT FROM pg_stat_activity WHERE pid = %s", (pid,))
    return await cursor.fetchone() is not None


async def test_the_limit_is_the_transaction_s_and_not_the_statement_s(database_url: str) -> None:
    """Postgres lifts the one before a commit waits for a standby, and not the other."""
    assert ("0", "5s") == (SERVER_LIMITS["statement_timeout"], SERVER_LIMITS["transaction_timeout"])
    async with await _connected(database_url) as connection:
        with pytest.raises(psycopg.errors.TransactionTimeout):
            await connection.execute("SELECT pg_sleep(7)")


def test_psycopg_waits_as_ours_does_but_for_the_cancellation() -> None:
    theirs = inspect.signature(psycopg.AsyncConnection.wait)
    assert list(theirs.parameters) == list(inspect.signature(Connection.wait).parameters)
    assert theirs.parameters["interval"].default == WAIT_INTERVAL
    assert "_try_cancel" in inspect.getsource(psycopg.AsyncConnection.wait)
