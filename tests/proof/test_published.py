"""`allocations verify` and what was published: missing, doubled, changed, out of order; and what is only late."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.proof.conftest import differences, on_database, verify
from tests.support.published import Published, Sent, position
from tests.support.servers import Servers


def without_the_third(records: list[Sent]) -> list[Sent]:
    return records[:2] + records[3:]


def third_doubled(records: list[Sent]) -> list[Sent]:
    return [*records[:3], *records[2:]]


def third_again_at_the_end(records: list[Sent]) -> list[Sent]:
    return [*records, records[2]]


def third_before_second(records: list[Sent]) -> list[Sent]:
    return [records[0], records[2], records[1], *records[3:]]


def third_changed(records: list[Sent]) -> list[Sent]:
    value = re.sub(rb'"version":[0-9]+', b'"version":99', records[2].value or b"")
    return [*records[:2], replace(records[2], value=value), *records[3:]]


def third_of_another_log(records: list[Sent]) -> list[Sent]:
    headers = [(name, b"other/0/1" if name == "ce_id" else value) for name, value in records[2].headers]
    return [*records[:2], replace(records[2], headers=headers), *records[3:]]


def third_no_event(records: list[Sent]) -> list[Sent]:
    return [*records[:2], Sent(b"key", b"\x00", []), *records[2:]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without_the_third, ["{events} {third} (key {id}): was not published, and later ones were"]),
        (third_doubled, ["{events} 0/3 (key {id}): is of {third}, and stands behind that of {third}"]),
        (third_again_at_the_end, ["{events} 0/{count} (key {id}): is of {third}, and stands behind that of "]),
        (
            third_before_second,
            [
                "is of {second}, and stands behind that of {third}",
                "{events} {second} (key ",
            ],
        ),
        (third_changed, ["{events} 0/2 (key {id}): value.version is 99, and "]),
        (
            third_of_another_log,
            [
                "{events} 0/2 (key {id}): is not from this log",
                "{events} {third} (key {id}): was not published, and later ones were",
            ],
        ),
        (third_no_event, ["{events} 0/2 (key key): is not from this log"]),
    ],
    ids=lambda each: each.__name__ if callable(each) else "",
)
async def test_what_was_published_otherwise_is_named(
    published: Published, change: Callable[[list[Sent]], list[Sent]], words: list[str]
) -> None:
    records = published.records[0]
    await published.rewrite(change)
    ran = await verify(published.system)
    print(ran.out)
    assert 1 == ran.status
    names = {
        "events": published.system.topics.events,
        "second": position(records[1]),
        "third": position(records[2]),
        "id": (records[2].key or b"").decode(),
        "count": len(records),
    }
    for each in words:
        assert any(each.format(**names) in line for line in differences(ran)), each.format(**names)
    assert len(words) == len(differences(ran))


async def test_what_is_not_published_yet_is_counted(published: Published) -> None:
    await published.rewrite(lambda records: records[:-2])
    ran = await verify(published.system)
    assert (0, []) == (ran.status, differences(ran))
    assert "not yet published: 2" in ran.out


async def test_a_database_that_is_older_than_what_was_published(
    published: Published, servers: Servers, tmp_path: Path
) -> None:
    """A backup without the last command that had an event."""
    await published.rewrite(list)
    last = position(published.records[0][-1])
    with on_database(servers, published.system, tmp_path) as backup:
        at = int(last.rpartition("/")[2])
        for table in ("ledger", "dead_letter", "journal"):
            backup.rows(f'DELETE FROM {table} WHERE partition = 0 AND "offset" >= %s RETURNING 1', at)  # noqa: S608
        backup.rows("UPDATE watermark SET next_offset = %s WHERE partition = 0 RETURNING 1", at)
        ran = await verify(backup)
    assert 1 == ran.status
    assert any(f"is of {last}, which the journal does not have" in line for line in differences(ran)), ran.out
