"""Whether our sessions of Postgres are ours alone. A pooler may lend one session to several clients in turn.

Locks, prepared statements, LISTEN and the limits of decision 2 belong to a session, so with PgBouncer's pool_mode
`transaction` or `statement` a lock stays with nobody, and a statement meets another's limits.
"""

import asyncio
from typing import Final

from service.errors import OperatorError, UnavailableError
from service.postgres import Connection, connect
from service.settings import ServiceSettings

ROUNDS: Final = 5
ANSWER_SECONDS: Final = 10.0

_SHARED: Final = (
    "a pooler between this process and Postgres gives one session to several clients in turn: set its pool_mode to "
    "session, or let the address lead to Postgres itself"
)


async def check_sessions(settings: ServiceSettings) -> None:
    """Raises OperatorError when sessions are shared; UnavailableError when the pooler has no second one to compare."""
    async with await connect(settings, "allocations-checks") as one:
        if one.info.backend_pid == await _session(one):  # a pooler tells its clients numbers of its own
            return
        try:
            async with asyncio.timeout(ANSWER_SECONDS), await connect(settings, "allocations-checks") as two:
                await _compare(one, two)
        except TimeoutError:
            raise UnavailableError("the pooler in front of Postgres has no free session") from None


async def _compare(one: Connection, two: Connection) -> None:
    """An idle pooler lends the session that it got back last, a busy one another each time."""
    own = await _session(one)
    for _ in range(ROUNDS):
        if own == await _session(two) or own != await _session(one):
            raise OperatorError(_SHARED)


async def _session(connection: Connection) -> int:
    cursor = await connection.execute("SELECT pg_backend_pid()", prepare=False)
    row = await cursor.fetchone()
    return int(row[0]) if row else 0
