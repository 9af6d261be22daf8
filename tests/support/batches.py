"""A log in memory and the tables it is applied to, for tests of the processor below Faust."""

import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row

from processor.apply import Applier, decide
from processor.domain.batch import Batch, Record, read, wanted
from processor.domain.journal import FIRST_HASH
from processor.domain.policy import PolicySettings
from processor.postgres import tables
from processor.postgres.store import Store
from schemas.commands import FINISHES, RESERVES, Amount, Command, Edition
from schemas.records import encode_command, key_of
from schemas.topics import partition_of
from schemas.words import AfterFinal, Kind, Verb
from service.postgres import Connection, connect
from service.settings import ServiceSettings
from tests.support.commands import NOON, stamps

PARTITIONS: Final = 4
NO_RULES: Final = PolicySettings()


class Log:
    """A commands topic in memory: offsets without a gap, each record on its key's partition."""

    def __init__(self) -> None:
        self.ends: dict[int, int] = defaultdict(int)

    def append(self, command: Command) -> Record:
        key = key_of(command.allocation_id)
        return self.append_raw(partition_of(key, PARTITIONS), key, encode_command(command))

    def append_raw(self, partition: int, key: bytes, value: bytes) -> Record:
        offset, self.ends[partition] = self.ends[partition], self.ends[partition] + 1
        return Record(partition, offset, NOON + timedelta(milliseconds=offset), key, value, [])


def reserve(
    quantity: int = 5,
    account: str | None = None,
    kind: Kind = Kind.ALLOCATION,
    of: str | None = None,
    currency: str = "BTC",
) -> Command:
    return RESERVES[kind](
        **stamps(of or str(uuid.uuid4())),
        amount=Amount(currency=currency, quantity=str(quantity)),
        client_id=str(uuid.uuid4()),
        connection_id=account or str(uuid.uuid4()),
        partners_connection_id="account",
        edition=Edition(),
        after_final=AfterFinal.CONFLICT,
    )


def finish(command: Command, verb: Verb = Verb.CLEAR) -> Command:
    return FINISHES[command.kind, verb](**stamps(command.allocation_id))


def on(
    partition: int,
    account: str | None = None,
    kind: Kind = Kind.ALLOCATION,
    quantity: int = 5,
    of: str | None = None,
    currency: str = "BTC",
) -> Command:
    """A reserve whose id belongs on a partition."""
    while True:
        asked = reserve(quantity, account, kind, of, currency)
        if partition_of(key_of(asked.allocation_id), PARTITIONS) == partition:
            return asked


async def opened(database_url: str) -> Connection:
    return await connect(ServiceSettings(postgres_url=database_url), "test")  # type: ignore[arg-type]


async def decided(connection: Connection, records: Sequence[Record], partitions: int = PARTITIONS) -> Batch:
    """A batch that is decided on rows as they are now, and not committed."""
    reads = [read(record, partitions) for record in records]
    return decide(await tables.load(connection, wanted(reads)), reads, NO_RULES)


async def commit(connection: Connection, batch: Batch) -> None:
    await tables.commit(connection, batch)


def applier(database_url: str) -> Applier:
    """To be closed."""
    return Applier(Store(ServiceSettings(postgres_url=database_url), reads_connections=False), PARTITIONS, NO_RULES)  # type: ignore[arg-type]


async def prepare(connection: Connection) -> None:
    """The watermarks of an empty log."""
    for partition in range(PARTITIONS):
        await connection.execute("INSERT INTO watermark VALUES (%s, 0, %s)", (partition, FIRST_HASH))


def outcomes(batch: Batch) -> list[tuple[str, str | None, str | None]]:
    """Outcome, reason and status after, of each record."""
    return [(row.outcome.value, row.reason, row.status_after) for row, _ in batch.journal]


def rows(database_url: str, statement: str) -> list[dict[str, Any]]:
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        return connection.execute(statement.encode()).fetchall()


TABLES: Final = (
    "watermark",
    "journal",
    "allocation",
    "account",
    "ledger",
    "dead_letter",
    "connection",
    "platform_account",
    "adjustment",
)


def everything(database_url: str) -> list[list[dict[str, Any]]]:
    """All rows of all tables that follow from the log."""
    return [rows(database_url, f"SELECT * FROM {table} AS every ORDER BY every::text") for table in TABLES]  # noqa: S608
