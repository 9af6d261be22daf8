"""Applying batches to a real database: exactly once, nothing skipped, sums exact (decisions 1, 2, 3 and 6)."""

import uuid
from typing import Any

import psycopg
import pytest

from processor.apply import Applier, ForeignRecordError, GapError
from processor.domain.batch import Record
from processor.domain.journal import FIRST_HASH, JournalRow
from processor.postgres import tables
from processor.postgres.tables import OutdatedError
from schemas.notifications import decode_notification
from schemas.quantity import QUANTITY_MAX
from schemas.records import NewerSchemaError, encode_command
from schemas.words import Kind, Outcome, Verb
from service.postgres import Connection
from tests.support.batches import (
    PARTITIONS,
    Log,
    commit,
    decided,
    everything,
    finish,
    on,
    opened,
    reserve,
    rows,
)
from tests.support.commands import NOON
from tests.support.platform import activate, deactivate, issued, reactivate


async def test_a_batch_is_one_transaction_with_its_position(mine: Applier, log: Log, database_url: str) -> None:
    asked = reserve()
    records = [log.append(asked), log.append(finish(asked)), log.append(reserve())]
    batch = await mine(records)
    assert [Outcome.APPLIED] * 3 == [row.outcome for row, _ in batch.journal]
    watermarks = {row["partition"]: row["next_offset"] for row in rows(database_url, "SELECT * FROM watermark")}
    assert {partition: log.ends[partition] for partition in range(PARTITIONS)} == watermarks
    assert ["cleared", "reserved"] == sorted(row["status"] for row in rows(database_url, "SELECT * FROM allocation"))


async def test_the_same_batch_again_changes_nothing(mine: Applier, log: Log, database_url: str) -> None:
    asked = reserve()
    records = [log.append(asked), log.append(finish(asked)), log.append_raw(0, b"key", b"\x00")]
    await mine(records)
    before = everything(database_url)
    again = await mine(records)
    assert [] == again.journal
    assert before == everything(database_url)


async def test_a_batch_that_overlaps_what_was_applied_goes_on_behind_it(mine: Applier, log: Log) -> None:
    records = [log.append_raw(1, b"key", bytes([n])) for n in range(10)]
    await mine(records[:6])
    batch = await mine(records[3:])
    assert [6, 7, 8, 9] == [row.offset for row, _ in batch.journal]


async def test_a_gap_is_not_jumped(mine: Applier, connection: Connection, log: Log, database_url: str) -> None:
    records = [log.append_raw(1, b"key", bytes([n])) for n in range(3)]
    with pytest.raises(GapError) as caught:
        await mine([records[0], records[2]])
    assert (1, 1) == (caught.value.partition, caught.value.next_offset)
    await connection.close()
    assert [] == rows(database_url, "SELECT * FROM journal")


async def test_a_record_below_the_watermark_must_be_the_one_that_was_applied(mine: Applier, log: Log) -> None:
    asked = reserve()
    record = log.append(asked)
    await mine([record])
    another = Record(record.partition, 0, NOON, record.key, encode_command(finish(asked)), [])
    with pytest.raises(ForeignRecordError):
        await mine([another])


async def test_a_parked_record_below_the_watermark_is_known_by_its_bytes(
    database_url: str, log: Log, mine: Applier
) -> None:
    await mine([log.append_raw(1, b"key", b"\x00\x01")])
    assert [] == (await mine([Record(1, 0, NOON, b"key", b"\x00\x01", [])])).journal
    with pytest.raises(ForeignRecordError):
        await mine([Record(1, 0, NOON, b"key", b"\x00\x02", [])])
    assert 1 == len(rows(database_url, "SELECT * FROM dead_letter"))


async def test_a_newer_record_stops_the_batch_before_anything_is_written(
    mine: Applier, log: Log, database_url: str
) -> None:
    with pytest.raises(NewerSchemaError):
        await mine([log.append(reserve()), log.append_raw(0, b"key", b'{"schemaVersion": 2}')])
    assert [] == rows(database_url, "SELECT * FROM journal")


@pytest.mark.parametrize(
    "meddling",
    [
        "UPDATE allocation SET version = version + 1",
        "UPDATE account SET sequence = sequence + 1",
        "UPDATE watermark SET next_offset = next_offset + 1",
        "UPDATE watermark SET hash = sha256('another history')",
    ],
)
async def test_a_commit_is_guarded_by_what_was_loaded(
    mine: Applier, connection: Connection, log: Log, database_url: str, meddling: str
) -> None:
    """Nothing of the batch is written, its dead letter neither, and nobody is notified."""
    asked = reserve()
    account = str(asked.connection_id)  # type: ignore[attr-defined]
    funded = reserve(account=account)
    await mine([log.append(asked), log.append(funded), log.append(finish(funded))])
    journaled = rows(database_url, "SELECT * FROM journal")
    records = [log.append(finish(asked)), log.append_raw(0, b"key", b"no command")]
    batch = await decided(connection, records)
    await connection.execute(meddling.encode())
    async with await opened(database_url) as listener:
        await listener.execute("SELECT listen_to_outcomes()")
        with pytest.raises(OutdatedError):
            await commit(connection, batch)
        assert [] == [each.payload async for each in listener.notifies(timeout=0.5)]
    assert journaled == rows(database_url, "SELECT * FROM journal")
    assert [] == rows(database_url, "SELECT * FROM dead_letter")


async def test_an_id_that_a_refusal_found_absent_must_still_be_absent(
    connection: Connection, log: Log, database_url: str
) -> None:
    asked = reserve()
    batch = await decided(connection, [log.append(finish(asked))])
    async with await opened(database_url) as other:
        await other.execute(
            "INSERT INTO allocation (allocation_id, kind, status, version, created_at, updated_at) "
            "VALUES (%s, 'allocation', 'tombstone', 0, now(), now())",
            (asked.allocation_id,),
        )
    with pytest.raises(OutdatedError):
        await commit(connection, batch)
    assert [] == rows(database_url, "SELECT * FROM journal")


async def test_a_journal_row_can_not_be_written_twice(
    mine: Applier, theirs: Applier, connection: Connection, log: Log
) -> None:
    record = log.append(reserve())
    await mine([record])
    await connection.execute("UPDATE watermark SET next_offset = 0")
    with pytest.raises(psycopg.errors.UniqueViolation):
        await theirs([record])


async def test_a_batch_over_many_partitions_tells_of_each(database_url: str, connection: Connection) -> None:
    many, far = 500, 10**12
    await connection.execute("DELETE FROM watermark")
    for partition in range(many):
        await connection.execute("INSERT INTO watermark VALUES (%s, %s, %s)", (partition, far, FIRST_HASH))
    records = [Record(partition, far, NOON, b"key", b"\x00", []) for partition in range(many)]
    async with await opened(database_url) as listener:
        await listener.execute("SELECT listen_to_outcomes()")
        await commit(connection, await decided(connection, records, many))
        notifications = [decode_notification(each.payload) async for each in listener.notifies(timeout=2)]
    told = {partition for notification in notifications for partition in notification.next_offsets}
    assert set(range(many)) == told


COMMITS = """
    CREATE TABLE commits (waits_for_the_disk text);
    CREATE FUNCTION note_commit() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO commits VALUES (current_setting('synchronous_commit'));
        RETURN NULL;
    END
    $$;
    CREATE CONSTRAINT TRIGGER note_commit AFTER UPDATE ON watermark DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION note_commit();
"""
"""What a deferred trigger sees is what the commit itself does."""


async def test_a_batch_waits_for_the_disk_whatever_its_notification_does(
    mine: Applier, connection: Connection, log: Log, database_url: str
) -> None:
    """What is acknowledged is not lost with the machine's power."""
    await connection.execute(COMMITS)
    asked = reserve()
    await mine([log.append(asked)])
    await mine([log.append(finish(asked, Verb.RELEASE))])
    assert [{"waits_for_the_disk": "on"}] * 2 == rows(database_url, "SELECT * FROM commits")


async def test_an_account_that_no_decision_used_is_not_there(mine: Applier, log: Log, database_url: str) -> None:
    """What rows there are follows from the log alone, not from how it was cut into batches."""
    asked = reserve()
    await mine([log.append(finish(asked)), log.append(asked)])
    assert [] == rows(database_url, "SELECT * FROM account")


async def test_the_largest_amounts_are_exact(mine: Applier, log: Log, database_url: str) -> None:
    account = str(uuid.uuid4())
    for _ in range(3):
        asked = reserve(QUANTITY_MAX, account)
        await mine([log.append(asked), log.append(finish(asked))])
    back = reserve(QUANTITY_MAX, account, Kind.DEALLOCATION)
    await mine([log.append(back)])
    [row] = rows(database_url, "SELECT available, held FROM account")
    assert (2 * QUANTITY_MAX, QUANTITY_MAX) == (row["available"], row["held"])
    await mine([log.append(finish(back))])
    assert 0 == rows(database_url, "SELECT held FROM account")[0]["held"]


async def test_the_hash_chain_can_be_recomputed_from_the_rows(mine: Applier, log: Log, database_url: str) -> None:
    asked, back = reserve(), reserve(kind=Kind.DEALLOCATION)
    commands = [
        asked,
        finish(asked),
        finish(asked, Verb.RELEASE),
        back,
        finish(reserve()),
        finish(reserve(), Verb.RELEASE),
    ]
    await mine([*[log.append(each) for each in commands], log.append_raw(0, b"\x00", b"\xff")])
    await mine([log.append(reserve()) for _ in range(5)])
    for partition in range(PARTITIONS):
        previous = FIRST_HASH
        for row in rows(database_url, f'SELECT * FROM journal WHERE partition = {partition} ORDER BY "offset"'):  # noqa: S608
            previous = _hash(row, previous)
            assert previous == bytes(row["hash"])
        [mark] = rows(database_url, f"SELECT hash FROM watermark WHERE partition = {partition}")  # noqa: S608
        assert previous == bytes(mark["hash"])


def _hash(row: dict[str, Any], previous: bytes) -> bytes:
    columns = {name: row[name] for name in JournalRow._fields if name not in ("command_id", "subject_id")}
    ids = {name: row[name] and str(row[name]) for name in ("command_id", "subject_id")}
    return JournalRow(**columns, **ids).hash(previous)


@pytest.mark.parametrize("cause", ["a payload too long", "no right to read the channel"])
async def test_a_notification_that_fails_is_not_the_batch_s_failure(
    mine: Applier, connection: Connection, log: Log, database_url: str, monkeypatch: pytest.MonkeyPatch, cause: str
) -> None:
    if cause == "a payload too long":
        monkeypatch.setattr(tables, "notifications", lambda _batch: ["x" * 9000])
    else:
        await connection.execute("REVOKE SELECT ON notification_channel FROM CURRENT_USER")
    for _ in range(2):
        assert 1 == len((await mine([log.append(reserve())])).journal)
    assert 2 == len(rows(database_url, "SELECT 1 FROM journal"))


FAILS_AFTER_THE_COMMIT = """
    CREATE OR REPLACE PROCEDURE commit_batch(changes jsonb, payloads text[]) LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM save_batch(changes);
        COMMIT;
        RAISE EXCEPTION 'behind the commit';
    END
    $$
"""


async def test_an_error_behind_the_commit_loses_nothing(
    mine: Applier, connection: Connection, log: Log, database_url: str
) -> None:
    """Nobody knows then whether it was committed; the batch comes again and is found applied, and the next one too."""
    await connection.execute(FAILS_AFTER_THE_COMMIT)
    for record in (log.append(reserve()), log.append(reserve())):
        with pytest.raises(psycopg.errors.RaiseException):
            await mine([record])
        assert [] == (await mine([record])).journal
    assert 2 == len(rows(database_url, "SELECT 1 FROM journal"))


async def test_nothing_is_open_or_locked_between_two_calls(
    mine: Applier, connection: Connection, log: Log, database_url: str
) -> None:
    """A worker that sleeps, loaded or not, keeps nobody waiting (decision 2)."""
    await mine([log.append(reserve())])
    await decided(connection, [log.append(finish(reserve()))])
    [row] = rows(
        database_url,
        "SELECT count(*) FILTER (WHERE state <> 'idle') AS busy FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
    )
    assert 0 == row["busy"]


async def test_an_applier_gets_over_a_lost_connection(mine: Applier, connection: Connection, log: Log) -> None:
    first, second = log.append(reserve()), log.append(reserve())
    await mine([first])
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'allocations-processor' "
        "AND datname = current_database()"
    )
    with pytest.raises(psycopg.OperationalError):
        await mine([second])
    assert 1 == len((await mine([second])).journal)


async def test_given_an_account_that_changes_its_connection_in_one_batch_then_both_are_applied(
    mine: Applier, log: Log, database_url: str
) -> None:
    """Whichever id is the smaller: an account has one active connection at any moment (section 6)."""
    for account in (f"account-{n}" for n in range(6)):
        first, second = str(uuid.uuid4()), str(uuid.uuid4())
        for command in (
            *(activate(first, f"{account} 1", issued(account)), deactivate(first)),
            *(activate(second, f"{account} 2", issued(account)), deactivate(second), reactivate(first)),
        ):
            await mine([log.append(command)])
        batch = await mine([log.append(deactivate(first)), log.append(reactivate(second))])
        assert ["applied", "applied"] == [row.outcome for row, _ in batch.journal]
    found = rows(database_url, "SELECT status, count(*) FROM connection GROUP BY 1")
    assert {"active": 6, "inactive": 6} == {row["status"]: row["count"] for row in found}


async def test_given_a_batch_that_never_passes_then_it_is_given_back_and_record_by_record_it_does(
    mine: Applier, connection: Connection, log: Log
) -> None:
    """So that nothing is decided again without end."""
    await connection.execute(
        "CREATE FUNCTION one_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "PERFORM require_rows((SELECT count(*) FROM new), 1); RETURN NULL; END $$"
    )
    await connection.execute(
        "CREATE TRIGGER one_only AFTER INSERT ON journal REFERENCING NEW TABLE AS new "
        "FOR EACH STATEMENT EXECUTE FUNCTION one_only()"
    )
    records = [log.append(on(1)) for _ in range(2)]
    with pytest.raises(OutdatedError):
        await mine(records)
    for record in records:
        assert 1 == len((await mine([record])).journal)
