"""A history made in a hurry is one that the product could have written."""

from datetime import UTC

import psycopg
from psycopg.rows import dict_row

from bench.growth.fill import fill
from bench.growth.history import FIRST_PARTITION, PARTITIONS
from processor.domain.journal import FIRST_HASH, JournalRow
from schemas.records import decode_event, encode_event
from schemas.words import Kind, Outcome, Verb


def test_every_row_follows_from_the_one_before_also_after_an_interruption(database_url: str) -> None:
    heard: list[int] = []
    assert 300 == fill(database_url, 300, 60, heard.append)
    assert 1000 == fill(database_url, 1000, 60, heard.append)
    assert [300, 1000] == heard
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        rows = connection.execute('SELECT * FROM journal ORDER BY partition, "offset"').fetchall()
    assert 2000 == len(rows)
    heads = dict.fromkeys(range(FIRST_PARTITION, FIRST_PARTITION + PARTITIONS), (0, FIRST_HASH))
    for row in rows:
        offset, previous = heads[row["partition"]]
        assert offset == row["offset"]
        digest = bytes(row.pop("hash"))
        assert digest == _row(row).hash(previous)
        heads[row["partition"]] = offset + 1, digest
        decode_event(encode_event(row["event"], row["facts"]))


def test_balances_are_the_sums_of_the_ledger_and_facts_follow_each_other(database_url: str) -> None:
    fill(database_url, 500, 60, lambda _: None)
    with psycopg.connect(database_url) as connection:
        wrong = connection.execute(
            "SELECT count(*) FROM account a WHERE (sequence, available) <> "
            "(SELECT count(*), coalesce(sum(quantity), 0) FROM ledger l WHERE l.connection_id = a.connection_id)"
        ).fetchone()
        facts = connection.execute(
            "SELECT f->>'connectionId', f->>'availableBefore', f->>'sequence' FROM journal, "
            "jsonb_extract_path(facts, 'account') f WHERE verb = 'clear' ORDER BY (f->>'sequence')::int"
        ).fetchall()
    assert (0,) == wrong
    seen: dict[str, int] = {}
    for connection_id, available, sequence in facts:
        assert (str(5 * seen.get(connection_id, 0)), str(seen.get(connection_id, 0) + 1)) == (available, sequence)
        seen[connection_id] = seen.get(connection_id, 0) + 1


def test_time_is_up_when_it_is_up(database_url: str) -> None:
    assert 10_000 == fill(database_url, 1_000_000, 0, lambda _: None)


def _row(row: dict[str, object]) -> JournalRow:
    words = {"kind": Kind, "verb": Verb, "outcome": Outcome}
    values = {name: words[name](value) if name in words else value for name, value in row.items()}  # type: ignore[operator]
    values["recorded_at"] = row["recorded_at"].astimezone(UTC)  # type: ignore[attr-defined]
    values |= {name: str(row[name]) for name in ("command_id", "subject_id")}
    return JournalRow(**values)  # type: ignore[arg-type]
