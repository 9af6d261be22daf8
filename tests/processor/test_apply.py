"""Applying batches to a real database: exactly once, nothing skipped, sums exact (decisions 1, 2, 3 and 6)."""

import asyncio
import json
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.rows import dict_row

from processor import store
from processor.apply import Applier, ForeignRecordError, GapError, apply
from processor.batch import Batch, Record, read, wanted
from processor.journal import FIRST_HASH, JournalRow
from processor.policy import PolicySettings
from processor.store import Connection, LostRaceError, NewAccountError
from schemas.commands import FINISHES, RESERVES, Amount, Command, Edition
from schemas.quantity import QUANTITY_MAX
from schemas.records import NewerSchemaError, encode_command, key_of
from schemas.topics import partition_of
from schemas.words import AfterFinal, Kind, Outcome, Verb
from service.postgres import connect
from service.settings import ServiceSettings

PARTITIONS = 4
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
NO_RULES = PolicySettings()


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


def stamps(allocation_id: str) -> dict[str, Any]:
    return {
        "command_id": str(uuid.uuid4()),
        "allocation_id": allocation_id,
        "received_at": NOON,
        "deadline": NOON + timedelta(seconds=15),
    }


def reserve(
    quantity: int = 5, account: str | None = None, kind: Kind = Kind.ALLOCATION, of: str | None = None
) -> Command:
    return RESERVES[kind](
        **stamps(of or str(uuid.uuid4())),
        amount=Amount(currency="BTC", quantity=str(quantity)),
        client_id=str(uuid.uuid4()),
        connection_id=account or str(uuid.uuid4()),
        partners_connection_id="account",
        edition=Edition(),
        after_final=AfterFinal.CONFLICT,
    )


def finish(command: Command, verb: Verb = Verb.CLEAR) -> Command:
    return FINISHES[command.kind, verb](**stamps(command.allocation_id))


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    async with await opened(database_url) as connection:
        for partition in range(PARTITIONS):
            await connection.execute("INSERT INTO watermark VALUES (%s, 0, %s)", (partition, FIRST_HASH))
        yield connection


async def opened(database_url: str) -> Connection:
    return await connect(ServiceSettings(postgres_url=database_url), "test")  # type: ignore[arg-type]


async def run(connection: Connection, records: Sequence[Record]) -> Batch:
    return await apply(connection, records, PARTITIONS, NO_RULES)


def rows(database_url: str, statement: str) -> list[dict[str, Any]]:
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        return connection.execute(statement.encode()).fetchall()


async def test_a_batch_is_one_transaction_with_its_position(
    connection: Connection, log: Log, database_url: str
) -> None:
    asked = reserve()
    records = [log.append(asked), log.append(finish(asked)), log.append(reserve())]
    batch = await run(connection, records)
    assert [Outcome.APPLIED] * 3 == [row.outcome for row, _ in batch.journal]
    watermarks = {row["partition"]: row["next_offset"] for row in rows(database_url, "SELECT * FROM watermark")}
    assert {partition: log.ends[partition] for partition in range(PARTITIONS)} == watermarks
    assert ["cleared", "reserved"] == sorted(row["status"] for row in rows(database_url, "SELECT * FROM allocation"))


async def test_the_same_batch_again_changes_nothing(connection: Connection, log: Log, database_url: str) -> None:
    asked = reserve()
    records = [log.append(asked), log.append(finish(asked)), log.append_raw(0, b"key", b"\x00")]
    await run(connection, records)
    before = [rows(database_url, f"SELECT * FROM {table} ORDER BY 1, 2") for table in TABLES]  # noqa: S608
    again = await run(connection, records)
    assert [] == again.journal
    assert before == [rows(database_url, f"SELECT * FROM {table} ORDER BY 1, 2") for table in TABLES]  # noqa: S608


TABLES = ("watermark", "journal", "allocation", "account", "ledger", "dead_letter")


async def test_a_batch_that_overlaps_what_was_applied_goes_on_behind_it(connection: Connection, log: Log) -> None:
    records = [log.append_raw(1, b"key", bytes([n])) for n in range(10)]
    await run(connection, records[:6])
    batch = await run(connection, records[3:])
    assert [6, 7, 8, 9] == [row.offset for row, _ in batch.journal]


async def test_a_gap_is_not_jumped(connection: Connection, log: Log, database_url: str) -> None:
    records = [log.append_raw(1, b"key", bytes([n])) for n in range(3)]
    with pytest.raises(GapError) as caught:
        await run(connection, [records[0], records[2]])
    assert (1, 1) == (caught.value.partition, caught.value.next_offset)
    await connection.close()
    assert [] == rows(database_url, "SELECT * FROM journal")


async def test_a_record_below_the_watermark_must_be_the_one_that_was_applied(connection: Connection, log: Log) -> None:
    asked = reserve()
    record = log.append(asked)
    await run(connection, [record])
    another = Record(record.partition, 0, NOON, record.key, encode_command(finish(asked)), [])
    with pytest.raises(ForeignRecordError):
        await run(connection, [another])


async def test_a_parked_record_below_the_watermark_is_known_by_its_bytes(
    database_url: str, log: Log, connection: Connection
) -> None:
    await run(connection, [log.append_raw(1, b"key", b"\x00\x01")])
    assert [] == (await run(connection, [Record(1, 0, NOON, b"key", b"\x00\x01", [])])).journal
    with pytest.raises(ForeignRecordError):
        await run(connection, [Record(1, 0, NOON, b"key", b"\x00\x02", [])])
    assert 1 == len(rows(database_url, "SELECT * FROM dead_letter"))


async def test_a_newer_record_stops_the_batch_before_anything_is_written(
    connection: Connection, log: Log, database_url: str
) -> None:
    with pytest.raises(NewerSchemaError):
        await run(connection, [log.append(reserve()), log.append_raw(0, b"key", b'{"schemaVersion": 2}')])
    assert [] == rows(database_url, "SELECT * FROM journal")


@pytest.mark.parametrize(
    "meddling",
    [
        "UPDATE allocation SET version = version + 1",
        "UPDATE account SET sequence = sequence + 1",
        "UPDATE watermark SET next_offset = next_offset + 1",
    ],
)
async def test_a_write_is_guarded_by_what_was_loaded(
    connection: Connection, log: Log, database_url: str, meddling: str
) -> None:
    """Whoever writes past our locks is found out, and nothing of the batch is written."""
    asked = reserve()
    account = str(asked.connection_id)  # type: ignore[attr-defined]
    funded = reserve(account=account)
    await run(connection, [log.append(asked), log.append(funded), log.append(finish(funded))])
    journaled = rows(database_url, "SELECT * FROM journal")
    record = log.append(finish(asked))
    each = read(record, PARTITIONS)
    tables = await store.begin(connection, wanted([each]))
    await connection.execute(meddling.encode())
    batch = Batch(tables, NO_RULES)
    batch.add(each)
    with pytest.raises(LostRaceError):
        await store.save(connection, batch)
    await connection.close()
    assert journaled == rows(database_url, "SELECT * FROM journal")


async def test_a_journal_row_can_not_be_written_twice(connection: Connection, log: Log) -> None:
    record = log.append(reserve())
    await run(connection, [record])
    await connection.execute("UPDATE watermark SET next_offset = 0")
    with pytest.raises(psycopg.errors.UniqueViolation):
        await run(connection, [record])


async def test_of_two_workers_on_one_partition_the_second_finds_the_work_done(
    database_url: str, connection: Connection, log: Log
) -> None:
    asked = reserve()
    records = [log.append(asked), log.append(finish(asked))]
    async with await opened(database_url) as other:
        batches = await asyncio.gather(run(connection, records), run(other, records))
    assert [0, 2] == sorted(len(batch.journal) for batch in batches)
    assert 1 == len(rows(database_url, "SELECT * FROM ledger"))


async def test_a_batch_sees_what_was_committed_while_it_waited(
    database_url: str, connection: Connection, log: Log
) -> None:
    """The lock is a statement of its own: what is read after it is not older than it."""
    asked = reserve()
    first, second = read(log.append(asked), PARTITIONS), log.append(finish(asked))
    async with await opened(database_url) as other:
        batch = Batch(await store.begin(other, wanted([first])), NO_RULES)
        batch.add(first)
        waiting = asyncio.create_task(run(connection, [second]))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        await store.save(other, batch)
    assert [("applied", "cleared")] == [(row.outcome, row.status_after) for row, _ in (await waiting).journal]


async def test_a_batch_over_many_partitions_tells_of_each(database_url: str, connection: Connection) -> None:
    many, far = 500, 10**12
    await connection.execute("DELETE FROM watermark")
    for partition in range(many):
        await connection.execute("INSERT INTO watermark VALUES (%s, %s, %s)", (partition, far, FIRST_HASH))
    records = [Record(partition, far, NOON, b"key", b"\x00", []) for partition in range(many)]
    async with await opened(database_url) as listener:
        await listener.execute("LISTEN watermark")
        await apply(connection, records, many, NO_RULES)
        told = {int(partition) async for each in listener.notifies(timeout=2) for partition in json.loads(each.payload)}
    assert set(range(many)) == told


@pytest.mark.usefixtures("connection")
async def test_two_workers_meet_on_a_new_account_a_hundred_times(database_url: str, log: Log) -> None:
    """The first clears of one new account at once, on two partitions: sums exact, nobody waits in a circle."""
    settings = ServiceSettings(postgres_url=database_url)  # type: ignore[arg-type]
    one, other = (Applier(settings, PARTITIONS, NO_RULES) for _ in range(2))
    for _ in range(100):
        account = str(uuid.uuid4())
        mine, theirs = _on(0, account), _on(1, account)
        first = [log.append(mine), log.append(finish(mine))]
        second = [log.append(theirs), log.append(finish(theirs))]
        await asyncio.gather(one(first), other(second))
    for each in (one, other):
        await each.close()
    found = rows(database_url, "SELECT available, held, sequence FROM account")
    assert [{"available": 10, "held": 0, "sequence": 2}] * 100 == found


@pytest.mark.usefixtures("connection")
async def test_two_workers_meet_on_one_account_a_hundred_times(database_url: str, log: Log) -> None:
    """Nobody decides on a balance that the other is about to change."""
    settings, account = ServiceSettings(postgres_url=database_url), str(uuid.uuid4())  # type: ignore[arg-type]
    one, other = (Applier(settings, PARTITIONS, NO_RULES) for _ in range(2))
    for _ in range(100):
        mine, theirs = _on(0, account), _on(1, account)
        first = [log.append(mine), log.append(finish(mine))]
        second = [log.append(theirs), log.append(finish(theirs))]
        await asyncio.gather(one(first), other(second))
    for each in (one, other):
        await each.close()
    found = rows(database_url, "SELECT available, held, sequence FROM account")
    assert [{"available": 1000, "held": 0, "sequence": 200}] == found


def _on(partition: int, account: str) -> Command:
    """A reserve whose id belongs on a partition."""
    while True:
        asked = reserve(account=account)
        if partition_of(key_of(asked.allocation_id), PARTITIONS) == partition:
            return asked


async def test_an_account_that_appears_meanwhile_is_looked_up_again(
    database_url: str, connection: Connection, log: Log
) -> None:
    account = str(uuid.uuid4())
    mine, theirs = _on(0, account), _on(1, account)
    first = [read(log.append(each), PARTITIONS) for each in (mine, finish(mine))]
    second = [log.append(theirs), log.append(finish(theirs))]
    other = Applier(ServiceSettings(postgres_url=database_url), PARTITIONS, NO_RULES)  # type: ignore[arg-type]
    batch = Batch(await store.begin(connection, wanted(first)), NO_RULES)
    for each in first:
        batch.add(each)
    assert 2 == len((await other(second)).journal)
    with pytest.raises(NewAccountError):
        await store.save(connection, batch)
    await connection.close()
    assert 2 == len((await other([each.record for each in first])).journal)
    await other.close()
    assert [{"available": 10, "sequence": 2}] == rows(database_url, "SELECT available, sequence FROM account")


async def test_an_account_that_no_decision_used_is_not_there(
    connection: Connection, log: Log, database_url: str
) -> None:
    """What rows there are follows from the log alone, not from how it was cut into batches."""
    asked = reserve()
    await run(connection, [log.append(finish(asked)), log.append(asked)])
    assert [] == rows(database_url, "SELECT * FROM account")


async def test_the_largest_amounts_are_exact(connection: Connection, log: Log, database_url: str) -> None:
    account = str(uuid.uuid4())
    for _ in range(3):
        asked = reserve(QUANTITY_MAX, account)
        await run(connection, [log.append(asked), log.append(finish(asked))])
    back = reserve(QUANTITY_MAX, account, Kind.DEALLOCATION)
    await run(connection, [log.append(back)])
    [row] = rows(database_url, "SELECT available, held FROM account")
    assert (2 * QUANTITY_MAX, QUANTITY_MAX) == (row["available"], row["held"])
    await run(connection, [log.append(finish(back))])
    assert 0 == rows(database_url, "SELECT held FROM account")[0]["held"]


async def test_the_hash_chain_can_be_recomputed_from_the_rows(
    connection: Connection, log: Log, database_url: str
) -> None:
    asked, back = reserve(), reserve(kind=Kind.DEALLOCATION)
    everything = [
        asked,
        finish(asked),
        finish(asked, Verb.RELEASE),
        back,
        finish(reserve()),
        finish(reserve(), Verb.RELEASE),
    ]
    await run(connection, [*[log.append(each) for each in everything], log.append_raw(0, b"\x00", b"\xff")])
    await run(connection, [log.append(reserve()) for _ in range(5)])
    for partition in range(PARTITIONS):
        previous = FIRST_HASH
        for row in rows(database_url, f'SELECT * FROM journal WHERE partition = {partition} ORDER BY "offset"'):  # noqa: S608
            previous = _hash(row, previous)
            assert previous == bytes(row["hash"])
        [mark] = rows(database_url, f"SELECT hash FROM watermark WHERE partition = {partition}")  # noqa: S608
        assert previous == bytes(mark["hash"])


def _hash(row: dict[str, Any], previous: bytes) -> bytes:
    columns = {name: row[name] for name in JournalRow.__slots__ if name not in ("command_id", "allocation_id")}
    ids = {name: row[name] and str(row[name]) for name in ("command_id", "allocation_id")}
    return JournalRow(**columns, **ids).hash(previous)


async def test_an_applier_gets_over_a_lost_connection(database_url: str, connection: Connection, log: Log) -> None:
    applier = Applier(ServiceSettings(postgres_url=database_url), PARTITIONS, NO_RULES)  # type: ignore[arg-type]
    first, second = log.append(reserve()), log.append(reserve())
    await applier([first])
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'allocations-processor' "
        "AND datname = current_database()"
    )
    with pytest.raises(psycopg.OperationalError):
        await applier([second])
    assert 1 == len((await applier([second])).journal)
    await applier.close()


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
async def test_how_a_log_is_cut_into_batches_does_not_matter(data: st.DataObject, servers: Any, template: str) -> None:
    """One by one, all at once, or anything between: the same rows, the same hashes."""
    log, ids, account = Log(), [str(uuid.UUID(int=n)) for n in range(3)], str(uuid.UUID(int=99))
    commands = data.draw(
        st.lists(
            st.tuples(st.sampled_from(ids), st.sampled_from(Kind), st.sampled_from(Verb), st.integers(1, 3)),
            max_size=25,
        )
    )
    records = [
        log.append(reserve(quantity, account, kind, of) if verb is Verb.RESERVE else FINISHES[kind, verb](**stamps(of)))
        for of, kind, verb, quantity in commands
    ]
    cuts = data.draw(st.lists(st.integers(1, 5), min_size=25, max_size=25))
    left, remaining = [], list(records)
    for size in cuts:
        left.append(remaining[:size])
        remaining = remaining[size:]
    one, other = await _outcome(servers, template, left), await _outcome(servers, template, [records])
    assert one == other


async def _outcome(servers: Any, template: str, batches: list[list[Record]]) -> list[Any]:
    name = f"cut_{uuid.uuid4().hex}"
    servers.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    url = servers.database_url(name)
    try:
        async with await opened(url) as connection:
            for partition in range(PARTITIONS):
                await connection.execute("INSERT INTO watermark VALUES (%s, 0, %s)", (partition, FIRST_HASH))
            for batch in batches:
                if batch:
                    await run(connection, batch)
        return [rows(url, f"SELECT * FROM {table} ORDER BY 1, 2") for table in TABLES]  # noqa: S608
    finally:
        servers.drop(name)
