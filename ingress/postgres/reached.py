"""How far the tables were when this process last saw them: a failover must not take back what was answered."""

from collections.abc import Mapping
from typing import Any, Final

import psycopg

from service.errors import UnavailableError
from service.sql import statements

_SQL: Final = statements("ingress.postgres")


class Reached:
    """The highest `next_offset` of each partition that was ever read, or on which an answer rested."""

    def __init__(self) -> None:
        self._next_offsets: dict[int, int] = {}

    def note(self, next_offsets: Mapping[int, int]) -> None:
        for partition, next_offset in next_offsets.items():
            self._next_offsets[partition] = max(next_offset, self._next_offsets.get(partition, 0))

    async def check(self, connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> None:
        """Raises UnavailableError for a database that lacks some of it, until the processors have caught up.

        Otherwise what it says would be older than what was answered, and its tokens could be used again (record 0024).
        """
        if not self._next_offsets:
            return
        found = dict(await (await connection.execute(_SQL["watermarks"])).fetchall())
        for partition, next_offset in self._next_offsets.items():
            if found.get(partition, 0) < next_offset:
                raise UnavailableError(
                    f"the database has lost commits, or is a standby: partition {partition} was applied up to "
                    f"{next_offset}, and is up to {found.get(partition, 0)}. The processors catch up, or say what to "
                    "do; a restart of this process accepts the loss"
                )
