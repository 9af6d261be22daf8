"""Every migration after the first can be applied while older processes run (record 0002)."""

import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from service.migrations import FOLDER, migrate, migration_ids
from tests.migrations.catalog import Break, Catalog, breaks, catalog
from tests.support.servers import Servers

Connection = psycopg.Connection[Any]

FIRST: Final = "0001.tables"
NAME: Final = re.compile(r"(?P<number>[0-9]{4})\.(contracts-(?P<needed>[0-9]{4})\.)?[a-z0-9-]+")
ALLOWED: Final[dict[str, dict[str, str]]] = {}
"""By migration: what the catalog calls a break, and why running processes do not notice it."""
CONCURRENT: Final = re.compile(
    r"(CREATE( UNIQUE)? INDEX CONCURRENTLY|DROP INDEX CONCURRENTLY IF EXISTS|ALTER TABLE \S+ VALIDATE CONSTRAINT)\b"
)


def test_migrations_are_numbered_one_after_the_other() -> None:
    ids = migration_ids()
    assert ids[0] == FIRST
    for number, name in enumerate(ids, 1):
        found = NAME.fullmatch(name)
        assert found, f"{name} is not NNNN.words or NNNN.contracts-NNNN.words"
        assert number == int(found["number"]), name
        assert found["needed"] is None or 1 < int(found["needed"]) < number, f"{name} needs what comes before it"


def test_given_older_processes_when_a_migration_is_applied_then_it_takes_nothing_from_them(
    bare_url: str, tmp_path: Path
) -> None:
    with psycopg.connect(bare_url, autocommit=True) as connection:
        for name in migration_ids():
            before = catalog(connection)
            text = _applied(bare_url, tmp_path, FOLDER / f"{name}.sql")
            found = breaks(before, catalog(connection), is_transactional=_is_transactional(text))
            unexpected = [each for each in map(str, found) if each not in ALLOWED.get(name, {})]
            assert not unexpected or "contracts-" in name, f"{name}: {unexpected}"


def test_what_is_allowed_is_still_there() -> None:
    assert ALLOWED.keys() <= set(migration_ids())


def test_outside_of_a_transaction_only_what_locks_nobody_out_and_can_be_repeated() -> None:
    for name in migration_ids():
        text = (FOLDER / f"{name}.sql").read_text()
        if not _is_transactional(text):
            assert [] == _not_concurrent(text), name


def _applied(url: str, folder: Path, file: Path) -> str:
    (folder / file.name).write_text(file.read_text())
    assert [file.stem] == migrate(url, folder)
    return file.read_text()


def _is_transactional(text: str) -> bool:
    return not re.search(r"^-- transactional: false$", text, re.MULTILINE)


def _not_concurrent(text: str) -> list[str]:
    """Statements that may not stand outside of a transaction. A build that was cut off leaves an index to drop."""
    statements = [each.strip() for each in re.sub(r"--.*", "", text).split(";") if each.strip()]
    wrong = [each for each in statements if not CONCURRENT.match(each)]
    for before, each in zip(["", *statements], statements, strict=False):
        if each.startswith("CREATE") and not before.startswith("DROP INDEX CONCURRENTLY IF EXISTS"):
            wrong.append(each)
    return wrong


GOOD: Final = {
    "a column that may be null": "ALTER TABLE allocation ADD COLUMN news text",
    "a table with whatever it likes": "CREATE TABLE news (id bigint PRIMARY KEY CHECK (id > 0), a text NOT NULL)",
    "a routine of a new name": "CREATE FUNCTION save_batch_2(changes jsonb) RETURNS void LANGUAGE sql AS 'SELECT'",
    "a routine with the same signature": (
        "CREATE OR REPLACE FUNCTION require_rows(matched bigint, expected integer) RETURNS void LANGUAGE sql AS ''"
    ),
    "an index built beside writers": (
        "-- transactional: false\nDROP INDEX CONCURRENTLY IF EXISTS news; "
        "CREATE INDEX CONCURRENTLY news ON journal (command_id)"
    ),
    "a right more": "GRANT SELECT ON journal TO PUBLIC",
    "a default": "ALTER TABLE allocation ALTER COLUMN notes SET DEFAULT 'none'",
}

BAD: Final = {
    "DROP TABLE ledger": "table dropped or renamed: ledger",
    "ALTER TABLE ledger RENAME TO movements": "table dropped or renamed: ledger",
    "ALTER TABLE allocation DROP COLUMN notes": "column dropped or renamed: allocation.notes",
    "ALTER TABLE allocation RENAME COLUMN notes TO words": "column dropped or renamed: allocation.notes",
    "ALTER TABLE allocation ALTER COLUMN version TYPE bigint": "table rewritten under an exclusive lock: allocation",
    "ALTER TABLE allocation ALTER COLUMN version SET DATA TYPE bigint": (
        "column's type or NOT NULL changed: allocation.version: integer NOT NULL → bigint NOT NULL"
    ),
    "ALTER TABLE allocation ALTER COLUMN notes SET NOT NULL": (
        "column's type or NOT NULL changed: allocation.notes: text → text NOT NULL"
    ),
    "ALTER TABLE allocation ADD COLUMN news text NOT NULL DEFAULT ''": (
        "column that older processes do not fill, and must not be null: allocation.news"
    ),
    "ALTER TABLE allocation ADD COLUMN news uuid DEFAULT gen_random_uuid()": (
        "table rewritten under an exclusive lock: allocation"
    ),
    "ALTER TABLE allocation ADD CONSTRAINT news CHECK (version < 9) NOT VALID": (
        "constraint that older processes do not know: allocation news"
    ),
    "CREATE INDEX news ON journal (command_id)": "index built while all writers wait: news on journal",
    "DROP INDEX allocation_reserved": "index dropped or renamed: allocation_reserved on allocation",
    "CREATE TRIGGER news BEFORE INSERT ON ledger EXECUTE FUNCTION suppress_redundant_updates_trigger()": (
        "trigger that older processes do not know: ledger news"
    ),
    "DROP FUNCTION save_usages": "routine dropped or renamed: save_usages(jsonb)",
    "DROP FUNCTION save_usages; CREATE FUNCTION save_usages(changes text) RETURNS void LANGUAGE sql AS ''": (
        "routine dropped or renamed: save_usages(jsonb)"
    ),
    "REVOKE EXECUTE ON FUNCTION listen_to_outcomes FROM PUBLIC": (
        "right dropped or renamed: EXECUTE on listen_to_outcomes() to PUBLIC"
    ),
}


@pytest.fixture(scope="module")
def connection(servers: Servers, template: str) -> Iterator[Connection]:
    """To a migrated database of this file's own."""
    name = f"rules_{uuid.uuid4().hex}"
    servers.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    with psycopg.connect(servers.database_url(name), autocommit=True) as connected:
        yield connected
    servers.drop(name)


@pytest.mark.parametrize("what", GOOD)
def test_given_what_an_upgrade_needs_then_no_break_is_found(connection: Connection, what: str) -> None:
    assert [] == _breaks_of(connection, GOOD[what])


@pytest.mark.parametrize("statement", BAD)
def test_given_what_older_processes_would_notice_then_it_is_named(connection: Connection, statement: str) -> None:
    assert BAD[statement] in map(str, _breaks_of(connection, statement))


def _breaks_of(connection: Connection, text: str) -> list[Break]:
    before = catalog(connection)
    if _is_transactional(text):
        with connection.transaction(force_rollback=True):
            return _after(connection, text, before)
    try:
        return _after(connection, text, before)
    finally:
        connection.execute("DROP INDEX IF EXISTS news")


def _after(connection: Connection, text: str, before: Catalog) -> list[Break]:
    for statement in text.split("; "):
        connection.execute(statement.encode())
    return breaks(before, catalog(connection), is_transactional=_is_transactional(text))


def test_given_a_build_that_cannot_be_repeated_then_it_is_named() -> None:
    assert ["CREATE INDEX CONCURRENTLY a ON b (c)"] == _not_concurrent("CREATE INDEX CONCURRENTLY a ON b (c);")
    assert ["DROP TABLE a"] == _not_concurrent("-- a comment; of course\nDROP TABLE a;")
