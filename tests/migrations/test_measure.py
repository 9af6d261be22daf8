"""The measurement of locks sees what it is there to see, on a few rows."""

import psycopg
import pytest

from tests.migrations.measure import HERE, SAMPLES, Measured, fill, measured

ROWS = 10_000
LOCKS = {
    "column": "AccessExclusiveLock on allocation",
    "column-with-a-constant": "AccessExclusiveLock on journal",
    "routine": "none",
    "constraint-not-valid": "AccessExclusiveLock on allocation",
    "bad-index": "ShareLock on journal",
    "bad-constraint": "AccessExclusiveLock on allocation",
    "bad-column-with-a-new-value": "AccessExclusiveLock on allocation",
}


@pytest.fixture
def found(database_url: str) -> dict[str, Measured]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        fill(connection, ROWS)
    return {name: measured(database_url, HERE / "samples" / f"{name}.sql") for name in SAMPLES}


def test_given_the_samples_then_each_has_the_lock_that_postgres_documents(found: dict[str, Measured]) -> None:
    assert LOCKS == {name: found[name].lock for name in LOCKS}
    for name in ("index-concurrently", "constraint-validated"):
        assert found[name].lock.partition(" ")[0] in ("none", "RowExclusiveLock", "ShareUpdateExclusiveLock")
    assert found["bad-column-with-a-new-value"].held_seconds > found["column"].held_seconds
    assert all(0 <= each.held_seconds <= each.seconds for each in found.values())
