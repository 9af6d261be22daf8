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
LEDGER = (
    """
    SELECT * FROM ledger WHERE partition = 2 AND 'trading' NOT IN (debit, credit) ORDER BY "offset" OFFSET 7 LIMIT 1
    """,
    AT,
)
REFUSED = (
    """
    SELECT * FROM journal
    WHERE partition = 3 AND outcome = 'refused' AND kind IN ('allocation', 'deallocation') ORDER BY "offset" LIMIT 1
    """,
    AT,
)
APPLIED = (
    """
    SELECT * FROM journal
    WHERE partition = 4 AND event ->> 'event' = 'AllocationReserved' ORDER BY "offset" OFFSET 5 LIMIT 1
    """,
    AT,
)
DEAD_LETTER = ("SELECT * FROM dead_letter LIMIT 1", AT)
CONNECTION = ("SELECT * FROM connection ORDER BY connection_id LIMIT 1", " WHERE connection_id = %(connection_id)s")
PLATFORM_ACCOUNT = (
    "SELECT * FROM platform_account ORDER BY 1 LIMIT 1",
    " WHERE partners_connection_id = %(partners_connection_id)s",
)
ADJUSTMENT = (
    "SELECT * FROM adjustment WHERE jsonb_array_length(entries) = 1 ORDER BY 1 LIMIT 1",
    " WHERE adjustment_id = %(adjustment_id)s",
)
TRADED = (
    "SELECT * FROM ledger WHERE credit = 'available' AND debit = 'trading' ORDER BY partition, \"offset\" LIMIT 1",
    AT + " AND currency = %(currency)s",
)
ACTIVATED = ("SELECT * FROM journal WHERE verb = 'activate' AND outcome = 'applied' LIMIT 1", AT)
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
        (f"{JOURNAL}the row is missing", "chain {commands}/{partition}/{next} ("),
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
        "UPDATE journal SET event = jsonb_set(event, '{version}', 'true')",
        (f"{JOURNAL}event.version is True, and 1 follows from the log", BREAKS),
    ),
    Damage(
        CLEARED,
        "UPDATE allocation SET edition = edition || '{\"x\": null}'",
        ("allocation {allocation_id}: edition.x is null, and nothing follows from the log",),
    ),
    Damage(
        APPLIED,
        "UPDATE journal SET hash = sha256('x')",
        (BREAKS, "(key {subject_id}): journalhash is "),
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
    Damage(
        CONNECTION,
        "UPDATE connection SET partners_client_id = 'other'",
        ("connection {connection_id}: partners_client_id is other, and user follows from the log",),
    ),
    Damage(CONNECTION, "DELETE FROM connection", ("connection {connection_id}: the row is missing",)),
    Damage(
        CONNECTION,
        "UPDATE connection SET connection_id = '00000000-0000-4000-8000-000000000000'",
        (
            "connection 00000000-0000-4000-8000-000000000000: no such row follows from the log",
            "connection {connection_id}: the row is missing",
        ),
    ),
    Damage(
        PLATFORM_ACCOUNT,
        "UPDATE platform_account SET sequence = sequence + 1",
        ("platform_account {partners_connection_id}: sequence is ",),
    ),
    Damage(
        PLATFORM_ACCOUNT,
        "UPDATE platform_account SET connected_by = gen_random_uuid()",
        ("platform_account {partners_connection_id}: connected_by is ",),
    ),
    Damage(
        PLATFORM_ACCOUNT,
        "DELETE FROM platform_account",
        ("platform_account {partners_connection_id}: the row is missing",),
    ),
    Damage(
        ADJUSTMENT,
        "UPDATE adjustment SET reason = 'another'",
        ("adjustment {adjustment_id}: reason is another, and ",),
    ),
    Damage(
        ADJUSTMENT,
        "UPDATE adjustment SET entries = jsonb_set(entries, '{0,quantity}', '\"4711\"')",
        ("adjustment {adjustment_id}: entries is ", "came from trading by the ledger, and "),
    ),
    Damage(
        TRADED,
        "UPDATE ledger SET quantity = quantity + 1",
        (f"ledger {POSITION} (adjustment ", SUM, "came from trading by the ledger, and "),
    ),
    Damage(TRADED, "UPDATE ledger SET sequence = sequence + 1", (f"ledger {POSITION} (adjustment ",)),
    Damage(
        ACTIVATED,
        "UPDATE journal SET facts = jsonb_set(facts, '{platformAccount,tokenUsedBefore}', 'true')",
        (f"journal {POSITION} (connection {{subject_id}}): facts.platformAccount.tokenUsedBefore is True", "chain "),
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
