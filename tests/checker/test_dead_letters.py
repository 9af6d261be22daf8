"""The checker over a record of a foreign client: right when it was parked once and published once, with its bytes."""

from typing import Any

import pytest

from tests.checker.findings import Verdict
from tests.checker.small import Small

PLACE = {"partition": 3, "offset": 0}
CONTENT = {"size": 5, "digest": "d1"}
REASON = {"reason": "not_a_command"}
ROWS: dict[str, dict[str, Any]] = {
    "record": PLACE,
    "foreign_record": PLACE | CONTENT,
    "journal": PLACE | {"outcome": "parked"},
    "dead_letter": PLACE | CONTENT | REASON,
    "dead_letter_copy": PLACE | CONTENT | REASON | {"place": "3/1"},
}


def foreign(*without: str) -> Small:
    small = Small()
    for table in ROWS.keys() - set(without):
        small.add(table, ROWS[table])
    return small


def test_a_foreign_record_with_its_dead_letter_is_right() -> None:
    assert foreign().check().is_clean


@pytest.mark.parametrize("table", ["foreign_record", "journal", "dead_letter", "dead_letter_copy"])
def test_what_is_missing_is_found(table: str) -> None:
    assert foreign(table).check().count(Verdict.DEAD_LETTER) > 0


@pytest.mark.parametrize("table", ["dead_letter", "dead_letter_copy"])
def test_other_bytes_are_found(table: str) -> None:
    small = foreign(table)
    small.add(table, ROWS[table] | {"digest": "d2"})
    assert small.check().count(Verdict.DEAD_LETTER) == 1


def test_a_dead_letter_that_was_published_twice_is_found() -> None:
    small = foreign()
    small.add("dead_letter_copy", ROWS["dead_letter_copy"] | {"place": "3/2"})
    assert small.check().count(Verdict.DEAD_LETTER) == 1
