"""A log in memory and the tables it is applied to, for tests of the processor below Faust."""

import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row

from processor.apply import Applier, decide
from processor.domain.batch import Batch, Record, read, usages_of, wanted
from processor.domain.journal import FIRST_HASH
from processor.domain.policy import PolicySettings
from processor.plug.plug import Plug
from processor.postgres import tables
from processor.postgres.store import Store
from schemas.commands import FINISHES, RESERVES, AllocationCommand, Amount, Command, Edition, Reserve
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

    def append(self, command: Command, at: datetime | None = None) -> Record:
        key = key_of(command.subject_id)
        return self.append_raw(partition_of(key, PARTITIONS), key, encode_command(command), at)

    def append_raw(self, partition: int, key: bytes, value: bytes, at: datetime | None = None) -> Record:
        offset, self.ends[partition] = self.ends[partition], self.ends[partition] + 1
        return Record(partition, offset, at or NOON + timedelta(milliseconds=offset), key, value, [])


def reserve(
    quantity: int = 5,
    account: str | None = None,
    kind: Kind = Kind.ALLOCATION,
    of: str | None = None,
    currency: str = "BTC",
    client: str | None = None,
) -> Reserve:
    return RESERVES[kind](
        **stamps(of or str(uuid.uuid4())),
        amount=Amount(currency=currency, quantity=str(quantity)),
        client_id=client or str(uuid.uuid4()),
        connection_id=account or str(uuid.uuid4()),
        partners_connection_id="account",
        edition=Edition(),
        after_final=AfterFinal.CONFLICT,
    )


def finish(command: AllocationCommand, verb: Verb = Verb.CLEAR) -> Command:
    return FINISHES[command.kind, verb](**stamps(command.allocation_id))


def on(
    partition: int,
    account: str | None = None,
    kind: Kind = Kind.ALLOCATION,
    quantity: int = 5,
    of: str | None = None,
    currency: str = "BTC",
    client: str | None = None,
) -> Reserve:
    """A reserve whose id belongs on a partition."""
    while True:
        asked = reserve(quantity, account, kind, of, currency, client)
        if partition_of(key_of(asked.allocation_id), PARTITIONS) == partition:
            return asked


async def opened(database_url: str) -> Connection:
    return await connect(ServiceSettings(postgres_url=database_url), "test")  # type: ignore[arg-type]


async def decided(
    connection: Connection,
    records: Sequence[Record],
    partitions: int = PARTITIONS,
    policy: PolicySettings = NO_RULES,
) -> Batch:
    """A batch that is decided on rows as they are now, and not committed."""
    reads = [read(record, partitions) for record in records]
    return decide(await tables.load(connection, wanted(reads, usages=usages_of(reads, policy))), reads, policy)


async def commit(connection: Connection, batch: Batch) -> None:
    await tables.commit(connection, batch)


def applier(
    database_url: str,
    policy: PolicySettings = NO_RULES,
    plug: Plug | None = None,
    committed: Callable[[Batch], None] = lambda _: None,
) -> Applier:
    """To be closed."""
    store = Store(ServiceSettings(postgres_url=database_url), policy)  # type: ignore[arg-type]
    return Applier(store, PARTITIONS, policy, plug, committed)


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
    "daily_usage",
)


def everything(database_url: str) -> list[list[dict[str, Any]]]:
    """All rows of all tables that follow from the log."""
    return [rows(database_url, f"SELECT * FROM {table} AS every ORDER BY every::text") for table in TABLES]  # noqa: S608
