"""`allocations migrate` beside running processes, beside another one, and killed."""

import asyncio
import threading
import time
from pathlib import Path

import psycopg
import pytest

from service import migrations
from service.errors import OperatorError, UnavailableError
from service.migrations import FOLDER, check_migrations, migrate, migration_ids


def newer(folder: Path, text: str, name: str = "9000.news") -> Path:
    """The migrations of a newer version."""
    for file in FOLDER.glob("*.sql"):
        (folder / file.name).write_text(file.read_text())
    (folder / f"{name}.sql").write_text(text)
    return folder


COLUMN = "ALTER TABLE allocation ADD COLUMN news text;"


def marked(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("SELECT migration_id FROM _yoyo_migration ORDER BY 1")]


def has_news(url: str) -> bool:
    with psycopg.connect(url) as connection:
        statement = "SELECT count(*) FROM pg_attribute WHERE attname = 'news' AND attrelid = 'allocation'::regclass"
        return connection.execute(statement).fetchone() == (1,)


async def checked(url: str, *, exactly: bool = False) -> None:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await check_migrations(connection, exactly=exactly)


async def test_given_a_newer_versions_migration_then_older_processes_start_and_proofs_do_not(
    database_url: str, tmp_path: Path
) -> None:
    assert ["9000.news"] == migrate(database_url, newer(tmp_path, COLUMN))
    await checked(database_url)
    with pytest.raises(OperatorError, match=r"9000\.news.*start a newer version"):
        await checked(database_url, exactly=True)


@pytest.mark.parametrize(("needed", "starts"), [(int(migration_ids()[-1][:4]), True), (8999, False)])
async def test_given_a_migration_that_took_something_away_then_only_versions_that_need_it_no_more_start(
    database_url: str, tmp_path: Path, *, needed: int, starts: bool
) -> None:
    name = f"9000.contracts-{needed:04}.news"
    migrate(database_url, newer(tmp_path, "ALTER TABLE allocation DROP COLUMN notes;", name))
    if starts:
        await checked(database_url)
    else:
        with pytest.raises(OperatorError, match=rf"{name}.*start a newer version"):
            await checked(database_url)


def test_given_two_at_once_then_one_applies_and_the_other_finds_nothing(bare_url: str, tmp_path: Path) -> None:
    folder = newer(tmp_path, f"SELECT pg_sleep(0.5); {COLUMN}")
    applied: list[list[str]] = []
    threads = [threading.Thread(target=lambda: applied.append(migrate(bare_url, folder))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [[], [], [*migration_ids(), "9000.news"]] == sorted(applied)
    assert [*migration_ids(), "9000.news"] == marked(bare_url)


def test_given_a_mark_that_fails_then_nothing_of_the_migration_is_there(database_url: str, tmp_path: Path) -> None:
    """Killed between a migration and its mark, it would be applied a second time."""
    folder = newer(tmp_path, COLUMN)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE _yoyo_migration ADD CONSTRAINT none CHECK (migration_id < '9') NOT VALID")
        with pytest.raises(psycopg.errors.CheckViolation):
            migrate(database_url, folder)
        assert not has_news(database_url)
        connection.execute("ALTER TABLE _yoyo_migration DROP CONSTRAINT none")
    assert ["9000.news"] == migrate(database_url, folder)
    assert has_news(database_url)


async def test_given_a_long_reader_when_a_migration_waits_for_it_then_writers_wait_a_second_at_most(
    database_url: str, tmp_path: Path
) -> None:
    """A verify reads for as long as it takes; whoever asks for a table behind a waiting ALTER TABLE waits with it."""
    folder = newer(tmp_path, COLUMN)
    longest = 0.0
    async with (
        await psycopg.AsyncConnection.connect(database_url) as reader,
        await psycopg.AsyncConnection.connect(database_url, autocommit=True) as writer,
    ):
        await reader.execute("SELECT FROM allocation")
        migrating = asyncio.create_task(asyncio.to_thread(migrate, database_url, folder))
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            began = time.monotonic()
            await writer.execute("UPDATE allocation SET notes = NULL WHERE false")
            longest = max(longest, time.monotonic() - began)
            await asyncio.sleep(0.01)
        assert not migrating.done()
        await reader.rollback()
        assert ["9000.news"] == await migrating
    assert 0.5 < longest < 2 * migrations.LOCK_SECONDS


def test_given_a_reader_who_does_not_end_then_it_is_named_and_nothing_was_applied(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "TRIES", 2)
    monkeypatch.setattr(migrations, "PAUSE_SECONDS", 0.1)
    folder = newer(tmp_path, f"CREATE TABLE news (); {COLUMN}")
    with psycopg.connect(database_url, application_name="long-reader") as reader:
        reader.execute("SELECT FROM allocation")
        with pytest.raises(UnavailableError, match=r"9000\.news waits for a lock.*\(long-reader\)"):
            migrate(database_url, folder)
    assert migration_ids() == marked(database_url)
    with psycopg.connect(database_url) as connection:
        assert (None,) == connection.execute("SELECT to_regclass('news')").fetchone()


def test_given_a_build_that_was_cut_off_when_migrated_again_then_the_index_is_whole(
    database_url: str, tmp_path: Path
) -> None:
    """An index whose build was cut off stays, and is not used; the migration is not marked."""
    folder = newer(
        tmp_path,
        "-- transactional: false\nDROP INDEX CONCURRENTLY IF EXISTS news;\n"
        "CREATE INDEX CONCURRENTLY news ON journal (verb);",
    )
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'news'::regclass"
    with psycopg.connect(database_url) as reader, psycopg.connect(database_url, autocommit=True) as other:
        reader.execute("LOCK TABLE journal IN ROW EXCLUSIVE MODE")
        failed: list[BaseException] = []

        def migrating() -> None:
            try:
                migrate(database_url, folder)
            except psycopg.Error as error:
                failed.append(error)

        thread = threading.Thread(target=migrating)
        thread.start()
        waits = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONC%' AND wait_event_type = 'Lock'"
        while (found := other.execute(waits).fetchone()) is None:
            time.sleep(0.05)
        other.execute("SELECT pg_terminate_backend(%s)", found)
        thread.join()
        assert isinstance(failed[0], psycopg.OperationalError)
        assert (False,) == other.execute(valid).fetchone()
        assert migration_ids() == marked(database_url)
        reader.rollback()
        assert ["9000.news"] == migrate(database_url, folder)
        assert (True,) == other.execute(valid).fetchone()
