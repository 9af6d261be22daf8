"""One thing is damaged in a copy of the tables: `allocations verify` names it, and nothing else."""

from dataclasses import dataclass

import psycopg
import pytest

from tests.proof.conftest import differences, verify
from tests.support.system import System

ACCOUNT = (
    "SELECT * FROM account WHERE available > 10 AND held > 0 ORDER BY connection_id, currency LIMIT 1",
    " WHERE connection_id = %(connection_id)s AND currency = %(currency)s",
)
CLEARED = (
    "SELECT * FROM allocation WHERE status = 'cleared' ORDER BY allocation_id LIMIT 1",
    " WHERE allocation_id = %(allocation_id)s",
)
TOMBSTONE = ("SELECT * FROM allocation WHERE status = 'tombstone' ORDER BY allocation_id LIMIT 1", CLEARED[1])
AT = ' WHERE partition = %(partition)s AND "offset" = %(offset)s'
LEDGER = ('SELECT * FROM ledger WHERE partition = 2 ORDER BY "offset" OFFSET 7 LIMIT 1', AT)
REFUSED = ("SELECT * FROM journal WHERE partition = 3 AND outcome = 'refused' ORDER BY \"offset\" LIMIT 1", AT)
APPLIED = ("SELECT * FROM journal WHERE partition = 4 AND outcome = 'applied' ORDER BY \"offset\" OFFSET 9 LIMIT 1", AT)
DEAD_LETTER = ("SELECT * FROM dead_letter LIMIT 1", AT)
WATERMARK = ("SELECT * FROM watermark WHERE partition = 5", " WHERE partition = %(partition)s")

POSITION = "{commands}/{partition}/{offset}"
JOURNAL = f"journal {POSITION} (allocation {{subject_id}}): "
BREAKS = f"chain {POSITION} (allocation {{subject_id}}): the chain of partition {{partition}} breaks here first"
SUM = "and the ledger's rows are"


@dataclass(frozen=True)
class Damage:
    """To the row that `row` finds. `words`: what each line of `verify` has; {next} is the offset after the row's."""

    row: tuple[str, str]
    statement: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return self.statement


DAMAGES = [
    Damage(
        ACCOUNT,
        "UPDATE account SET available = available + 1",
        ("account {connection_id}/{currency}: available is ", SUM),
    ),
    Damage(
        ACCOUNT, "UPDATE account SET sequence = sequence - 1", ("account {connection_id}/{currency}: sequence is ",)
    ),
    Damage(
        CLEARED,
        "UPDATE allocation SET status = 'released'",
        ("allocation {allocation_id}: status is released, and cleared follows from the log",),
    ),
    Damage(
        CLEARED,
        "UPDATE allocation SET updated_at = updated_at + interval '1 microsecond'",
        ("allocation {allocation_id}: updated_at is ",),
    ),
    Damage(CLEARED, "DELETE FROM allocation", ("allocation {allocation_id}: the row is missing",)),
    Damage(
        TOMBSTONE,
        "UPDATE allocation SET allocation_id = '00000000-0000-4000-8000-000000000000'",
        (
            "allocation 00000000-0000-4000-8000-000000000000: no such row follows from the log",
            "allocation {allocation_id}: the row is missing",
        ),
    ),
    Damage(LEDGER, "UPDATE ledger SET quantity = quantity + 1", (f"ledger {POSITION} (allocation ", SUM)),
    Damage(LEDGER, "DELETE FROM ledger", ("there are 0 rows, and 1 follow from the log", SUM)),
    Damage(
        REFUSED,
        "DELETE FROM journal",
        (f"{JOURNAL}the row is missing", "chain {commands}/{partition}/{next} (allocation "),
    ),
    Damage(
        REFUSED,
        "UPDATE journal SET reason = 'expired!'",
        (f"{JOURNAL}reason is expired!, and {{reason}} follows from the log", BREAKS),
    ),
    Damage(
        APPLIED,
        "UPDATE journal SET event = jsonb_set(event, '{amount,quantity}', '\"4711\"')",
        (f"{JOURNAL}event.amount.quantity is 4711", BREAKS),
    ),
    Damage(
        APPLIED,
        "UPDATE journal SET hash = sha256('x')",
        (BREAKS, "(allocation {subject_id}): journalhash is "),
    ),
    Damage(
        APPLIED,
        "UPDATE journal SET recorded_at = recorded_at + interval '1 microsecond'",
        (f"{JOURNAL}recorded_at is ",),
    ),
    Damage(APPLIED, "UPDATE journal SET traceparent = 'other'", (f"{JOURNAL}traceparent is other, and ",)),
    Damage(
        DEAD_LETTER,
        "UPDATE dead_letter SET value = 'other'",
        (f"dead_letter {POSITION}: value is other, and \\x00junk follows from the log",),
    ),
    Damage(DEAD_LETTER, "DELETE FROM dead_letter", (f"dead_letter {POSITION}: the row is missing",)),
    Damage(
        WATERMARK,
        "UPDATE watermark SET hash = sha256('x')",
        ("watermark {commands}/{partition}/{next_offset}: the hash is ",),
    ),
    Damage(
        WATERMARK,
        "UPDATE watermark SET next_offset = next_offset + 1",
        (
            "journal {commands}/{partition}/{next_offset}: the log has no such record",
            "journal {commands}/{partition}/{next_offset}: the row is missing",
        ),
    ),
]


@pytest.mark.parametrize("damage", DAMAGES, ids=str)
async def test_what_was_damaged_is_named(copy: System, damage: Damage) -> None:
    [row] = copy.rows(damage.row[0])
    with psycopg.connect(copy.database_url) as connection:
        assert connection.execute((damage.statement + damage.row[1]).encode(), row).rowcount == 1
    ran = await verify(copy)
    print(ran.out)
    assert 1 == ran.status, ran
    names = row | {"commands": copy.topics.commands, "next": row.get("offset", 0) + 1}
    for words in damage.words:
        assert any(words.format(**names) in line for line in differences(ran)), words.format(**names)
    assert len(damage.words) == len(differences(ran)), "something else was named too"


async def test_a_partition_without_its_watermark(copy: System) -> None:
    copy.rows("DELETE FROM watermark WHERE partition = 5 RETURNING 1")
    ran = await verify(copy, "--show", "100000")
    assert 1 == ran.status
    found = differences(ran)
    assert f"watermark {copy.topics.commands}/5/0: the row is missing" in found
    [rows] = copy.rows("SELECT count(*) FROM journal WHERE partition = 5")
    outside = [line for line in found if line.startswith(f"journal {copy.topics.commands}/5/")]
    assert rows["count"] == len(outside)
    assert all(line.endswith("the log has no place for this row") for line in outside)
