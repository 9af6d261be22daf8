"""What the target's processors made of a load: asked of its tables, when they have applied all of it."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

import psycopg

from service.sql import statements

LOOK_SECONDS: Final = 0.2
SILENCE_SECONDS: Final = 30.0

Connection = psycopg.AsyncConnection[tuple[Any, ...]]
Ends = Mapping[int, tuple[int, int]]

_SQL: Final = statements("replay")


class NotAppliedError(Exception):
    """Nothing moves: the processors of the target are not there, or stand still."""


async def wait_applied(connection: Connection, ends: Ends, report: Callable[[int], None] = lambda _: None) -> None:
    """Until every partition was applied beyond its last offset. Raises NotAppliedError after half a minute's rest.

    `report` is told how many records were applied since it was told last.
    """
    rested, before = 0.0, await left_to_apply(connection, ends)
    while left := await left_to_apply(connection, ends):
        report(before - left)
        rested = 0.0 if left != before else rested + LOOK_SECONDS
        if rested > SILENCE_SECONDS:
            raise NotAppliedError(f"{left} records wait and nothing moves: look at /readyz of the processors")
        before = left
        await asyncio.sleep(LOOK_SECONDS)
    report(before)


async def left_to_apply(connection: Connection, ends: Ends) -> int:
    cursor = await connection.execute(
        _SQL["left_to_apply"], {"partitions": list(ends), "lasts": [last for _, last in ends.values()]}
    )
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def count_outcomes(connection: Connection, ends: Ends) -> Counter[str]:
    """How the records between the first and the last offsets came out: `applied`, `refused not_found`, …"""
    cursor = await connection.execute(
        _SQL["outcomes"],
        {
            "partitions": list(ends),
            "firsts": [first for first, _ in ends.values()],
            "lasts": [last for _, last in ends.values()],
        },
    )
    return Counter({" ".join(filter(None, row[:2])): row[2] async for row in cursor})
