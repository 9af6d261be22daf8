"""Hashes that were noted outside of the system: each that is not the journal's is named."""

import hashlib
from datetime import UTC, datetime

import pytest

from processor.domain.journal import FIRST_HASH, JournalRow
from proof.checkpoint.file import Mark
from proof.log.snapshot import StoredRow
from proof.verify.chain import Chain, Head
from proof.verify.differences import Difference
from schemas.words import Outcome

ROW = JournalRow(0, 0, datetime(2026, 11, 29, tzinfo=UTC), Outcome.PARKED)
RIGHT = hashlib.sha256(b"right").hexdigest()
START = Mark(next_offset=0, hash=FIRST_HASH.hex(), events=0, dead_letters=0)


@pytest.mark.parametrize("wrong", ["0" * 64, "f" * 64])
@pytest.mark.parametrize("are_both_noted", [False, True])
def test_given_a_head_that_is_not_the_journal_s_then_it_is_named_beside_whatever_other(
    *, wrong: str, are_both_noted: bool
) -> None:
    found: list[Difference] = []
    noted = [Head(offset=0, hash=each) for each in ((RIGHT, wrong) if are_both_noted else (wrong,))]
    chain = Chain("commands", 0, START, noted, found.append)
    chain.add(StoredRow(ROW, bytes.fromhex(RIGHT)), bytes.fromhex(RIGHT))
    chain.end()
    assert [f"the hash is {RIGHT}, and {wrong} was noted"] == [each.words for each in found]


def test_given_heads_of_rows_that_are_not_there_then_it_is_said_once_each() -> None:
    found: list[Difference] = []
    chain = Chain("commands", 0, START, [Head(offset=5, hash=each * 64) for each in "ab"], found.append)
    chain.end()
    assert ["was noted, and the journal does not have it"] == [each.words for each in found]
