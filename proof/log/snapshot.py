"""One snapshot of the tables: a read-only REPEATABLE READ transaction."""

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from processor.domain.journal import JournalRow
from processor.domain.rows import Watermark
from service.postgres import Connection, connect
from service.settings import ServiceSettings
from service.sql import statements

PATIENT: Final = {
    "statement_timeout": "0",
    "transaction_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "lock_timeout": "3s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}
"""For a connection that reads everything and locks nothing."""

ROWS_AT_ONCE: Final = 2000

_SQL: Final = statements("proof.log")
_LEDGER: Final = ("offset", "connection_id", "currency", "sequence", "debit", "credit", "quantity")
_DEAD_LETTER: Final = ("offset", "reason", "key", "value", "header_names", "header_values", "recorded_at")


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A journal row and the hash that stands beside it."""

    row: JournalRow
    hash: bytes


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows at some offsets of a partition, by offset."""

    journal: Mapping[int, StoredRow]
    ledger: Mapping[int, list[dict[str, Any]]]
    dead_letters: Mapping[int, dict[str, Any]]


class Snapshot:
    def __init__(self, connection: Connection, watermarks: Mapping[int, Watermark]) -> None:
        self._connection = connection
        self.watermarks = watermarks

    async def rows(self, partition: int, first: int, beyond: int) -> Rows:
        where = {"partition": partition, "first": first, "beyond": beyond}
        async with self._connection.pipeline():
            journal = await self._connection.execute(_SQL["journal_rows"], where)
            ledger = await self._connection.execute(_SQL["ledger_rows"], where)
            dead_letters = await self._connection.execute(_SQL["dead_letter_rows"], where)
        entries = defaultdict(list)
        for row in await ledger.fetchall():
            entries[row[0]].append({"partition": partition} | dict(zip(_LEDGER, row, strict=True)))
        letters = await dead_letters.fetchall()
        return Rows(
            {row[0]: StoredRow(_journal_row(partition, row), row[-1]) for row in await journal.fetchall()},
            entries,
            {row[0]: {"partition": partition} | dict(zip(_DEAD_LETTER, row, strict=True)) for row in letters},
        )

    async def outside(self, bounds: Mapping[int, tuple[int, int]]) -> AsyncIterator[tuple[str, int, int]]:
        """Table, partition and offset of rows that are not within the bounds of a partition."""
        asked = {
            "partitions": list(bounds),
            "firsts": [first for first, _ in bounds.values()],
            "beyonds": [beyond for _, beyond in bounds.values()],
        }
        async for row in self._stream("rows_outside", asked):
            yield row[0], row[1], row[2]

    async def subjects(self, table: str) -> AsyncIterator[tuple[str, Sequence[Any]]]:
        """Id and columns of the rows of a table that has one for each id, in the order of ids."""
        async for row in self._stream(f"{table}_rows"):
            yield row[0], row

    async def platform_accounts(self) -> AsyncIterator[tuple[str, Sequence[Any]]]:
        async for row in self._stream("platform_account_rows"):
            yield row[0], row

    async def accounts(self) -> AsyncIterator[tuple[tuple[str, str], Sequence[Any]]]:
        async for row in self._stream("account_rows"):
            yield (row[0], row[1]), row

    async def usages(self) -> AsyncIterator[tuple[tuple[str, ...], Sequence[Any]]]:
        async for row in self._stream("usage_rows"):
            yield tuple(row[:5]), row

    async def balances(self, firsts: Mapping[int, int]) -> AsyncIterator[tuple[tuple[str, str], Sequence[Any]]]:
        """Available and held of each account, and the sums of its ledger rows from an offset of each partition on."""
        asked = {"partitions": list(firsts), "firsts": list(firsts.values())}
        async for row in self._stream("account_balances", asked):
            yield (row[0], row[1]), row[2:]

    async def untraded(self, firsts: Mapping[int, int]) -> AsyncIterator[Sequence[str]]:
        """Connection and currency where the ledger's trading is not what the adjustments say; the sums of both."""
        asked = {"partitions": list(firsts), "firsts": list(firsts.values())}
        async for row in self._stream("trading_sums", asked):
            yield row

    async def open_dead_letters(self) -> AsyncIterator[tuple[int, int]]:
        async for row in self._stream("open_dead_letters"):
            yield row[0], row[1]

    async def is_handled(self, partition: int, offset: int) -> bool:
        """Whether a dead letter was retried or discarded."""
        asked = {"partition": partition, "offset": offset}
        return bool((await self._connection.execute(_SQL["handled_dead_letter"], asked)).rowcount)

    async def last_to_publish(self) -> dict[int, tuple[int | None, int | None]]:
        """By partition, the offsets of the last journal row with an event and of the last dead letter."""
        cursor = await self._connection.execute(_SQL["last_to_publish"])
        return {partition: (event, letter) async for partition, event, letter in cursor}

    async def count_states(self) -> int:
        """How many rows there are of what is not history: allocations, accounts, connections, the platform's accounts,
        adjustments, sums of days.
        """
        row = await (await self._connection.execute(_SQL["count_states"])).fetchone()
        return int(row[0]) if row else 0

    async def pruned(self) -> dict[int, int]:
        return await pruned(self._connection)

    async def begins_before(self, starts: Mapping[int, int]) -> bool:
        """Whether the journal has a row from before some partition's start."""
        asked = {"partitions": list(starts), "starts": list(starts.values())}
        return bool(await (await self._connection.execute(_SQL["rows_before"], asked)).fetchone())

    async def _stream(self, name: str, asked: Mapping[str, Any] | None = None) -> AsyncIterator[Sequence[Any]]:
        async with self._connection.cursor(name) as cursor:
            cursor.itersize = ROWS_AT_ONCE
            await cursor.execute(_SQL[name], asked)
            async for row in cursor:
                yield row


@asynccontextmanager
async def snapshot(settings: ServiceSettings, name: str) -> AsyncIterator[Snapshot]:
    async with await connect(settings, name, PATIENT) as connection:
        await connection.execute(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield Snapshot(connection, await watermarks(connection))


async def watermarks(connection: Connection) -> dict[int, Watermark]:
    cursor = await connection.execute(_SQL["watermarks"])
    return {partition: Watermark(next_offset, digest) async for partition, next_offset, digest in cursor}


async def pruned(connection: Connection) -> dict[int, int]:
    """By partition, where rows may be missing before, because they were pruned; only where they were."""
    return dict(await (await connection.execute(_SQL["pruned"])).fetchall())


def _journal_row(partition: int, row: Sequence[Any]) -> JournalRow:
    return JournalRow(partition, *row[:-1])
