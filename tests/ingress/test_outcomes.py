"""What an ingress makes of hints, and of what then stands at a position (decision 9)."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from ingress.outcomes.hints import Hints
from ingress.outcomes.outcomes import Found, Outcomes, OutcomeUnknownError
from ingress.postgres.database import Database
from ingress.postgres.reached import Reached
from schemas.notifications import Notification
from schemas.records import Position
from service.health import Health
from service.settings import ServiceSettings

PLACE = Position("commands", 0, 5)
MINE, OTHER = str(uuid.uuid4()), str(uuid.uuid4())


class Tables:
    """What the tests write where a processor would."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)

    def watermark(self, next_offset: int, pruned_before: int = 0) -> None:
        self._connection.execute(
            "INSERT INTO watermark VALUES (0, %(next)s, %(hash)s, %(pruned)s) "
            "ON CONFLICT (partition) DO UPDATE SET next_offset = %(next)s, pruned_before = %(pruned)s",
            {"next": next_offset, "hash": bytes(32), "pruned": pruned_before},
        )

    def row(self, command_id: str, offset: int = PLACE.offset) -> None:
        self._connection.execute('DELETE FROM journal WHERE partition = 0 AND "offset" = %s', (offset,))
        self._connection.execute(
            'INSERT INTO journal (partition, "offset", command_id, outcome, reason, recorded_at, hash) '
            "VALUES (0, %s, %s, 'refused', 'not_found', now(), %s)",
            (offset, command_id, bytes(32)),
        )

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
async def tables(database_url: str) -> AsyncIterator[Tables]:
    tables = Tables(database_url)
    yield tables
    tables.close()


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def hints() -> Hints:
    return Hints()


@pytest.fixture
async def outcomes(database_url: str, hints: Hints, health: Health) -> AsyncIterator[Outcomes]:
    database = Database(ServiceSettings(postgres_url=database_url), "test", lanes=2)  # type: ignore[arg-type]
    yield Outcomes(database, hints, health, Reached())
    await database.close()


def soon(seconds: float = 5) -> float:
    return asyncio.get_running_loop().time() + seconds


def announced(command_id: str, partition: int = 0, offset: int = PLACE.offset) -> dict[str, Any]:
    place = {"partition": partition, "offset": offset, "command_id": command_id, "subject_id": "an id"}
    asked = {"kind": "allocation", "verb": "release", "outcome": "refused", "reason": "not_found"}
    return place | asked | {"status_after": "tombstone", "version_after": 0, "content": None}


async def test_given_a_false_hint_then_it_waits_on_and_the_true_one_is_answered(
    outcomes: Outcomes, tables: Tables
) -> None:
    tables.watermark(PLACE.offset)
    outcomes.hear(Notification({0: 1_000_000}, []))
    waiting = asyncio.create_task(outcomes.of(MINE, PLACE, soon()))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    assert PLACE.offset == outcomes.next_offsets[0]
    tables.row(MINE)
    tables.watermark(PLACE.offset + 1)
    outcomes.hear(Notification({0: PLACE.offset + 1}, []))
    assert MINE == (await waiting).command_id


async def test_given_only_false_hints_then_it_gives_up_at_the_deadline_and_nothing_is_wrong(
    outcomes: Outcomes, tables: Tables, health: Health
) -> None:
    tables.watermark(PLACE.offset)
    outcomes.hear(Notification({0: 1_000_000}, []))
    with pytest.raises(OutcomeUnknownError):
        await outcomes.of(MINE, PLACE, soon(0.3))
    assert {} == health.problems


async def test_given_no_hint_then_a_poll_finds_it(outcomes: Outcomes, tables: Tables) -> None:
    waiting = asyncio.create_task(outcomes.of(MINE, PLACE, soon()))
    await asyncio.sleep(0.05)
    tables.row(MINE)
    tables.watermark(PLACE.offset + 1)
    await outcomes.poll()
    assert MINE == (await waiting).command_id


async def test_given_tables_that_went_back_then_what_is_known_of_them_does_too(
    outcomes: Outcomes, tables: Tables, hints: Hints
) -> None:
    """As a failover does that lost commits: whoever asks for what was lost waits until it was applied again."""
    tables.watermark(1000)
    await outcomes.poll()
    assert {0: 1000} == outcomes.next_offsets
    tables.watermark(PLACE.offset)
    await outcomes.poll()
    assert {0: PLACE.offset} == outcomes.next_offsets
    assert not hints.first(0, PLACE.offset).done()


@pytest.mark.parametrize(("pruned_before", "problems"), [(PLACE.offset + 1, set()), (PLACE.offset, {"log"})])
async def test_given_no_row_then_it_was_pruned_or_the_tables_are_another_logs(
    outcomes: Outcomes, tables: Tables, health: Health, pruned_before: int, problems: set[str]
) -> None:
    """The caller asks again either way; but a row that nobody pruned and that is not there is an alarm."""
    tables.watermark(PLACE.offset + 1, pruned_before)
    await outcomes.poll()
    with pytest.raises(OutcomeUnknownError):
        await outcomes.of(MINE, PLACE, soon())
    assert problems == set(health.problems)
    assert Found(None, pruned=not problems) == await outcomes.at(PLACE, soon())


async def test_given_another_logs_row_then_the_next_good_outcome_of_the_partition_makes_it_ready_again(
    outcomes: Outcomes, tables: Tables, health: Health
) -> None:
    tables.watermark(PLACE.offset + 2)
    tables.row(OTHER)
    tables.row(MINE, PLACE.offset + 1)
    await outcomes.poll()
    with pytest.raises(OutcomeUnknownError):
        await outcomes.of(MINE, PLACE, soon())
    await outcomes.poll()
    assert {"log"} == set(health.problems)
    assert MINE == (await outcomes.of(MINE, PLACE._replace(offset=PLACE.offset + 1), soon())).command_id
    assert {} == health.problems


async def test_given_another_logs_row_then_the_right_one_makes_it_ready_again_without_a_request(
    outcomes: Outcomes, tables: Tables, health: Health
) -> None:
    """The database was another one for a while."""
    tables.watermark(PLACE.offset + 1)
    tables.row(OTHER)
    await outcomes.poll()
    with pytest.raises(OutcomeUnknownError):
        await outcomes.of(MINE, PLACE, soon())
    tables.row(MINE)
    await outcomes.poll()
    assert {} == health.problems


async def test_what_comes_with_a_notification_is_kept_for_who_expects_it_and_for_nobody_else(
    outcomes: Outcomes, tables: Tables
) -> None:
    tables.watermark(PLACE.offset)
    outcomes.hear(Notification({}, [announced(MINE)]))
    with outcomes.expecting(MINE):
        outcomes.hear(Notification({0: 6}, [announced(OTHER), announced(MINE)]))
        assert (MINE, "not_found") == (await outcomes.of(MINE, PLACE, soon()))[::5]
    with pytest.raises(OutcomeUnknownError):
        await outcomes.of(MINE, PLACE, soon(0.2))


@pytest.mark.parametrize(
    "row",
    [
        announced(MINE, partition=1),
        announced(MINE, offset=4),
        announced(MINE) | {"outcome": "nonsense"},
        announced(MINE) | {"content": 7},
        announced(MINE) | {"content": {"currency": "BTC"}},
        {"command_id": MINE},
    ],
    ids=["another partition", "another offset", "no outcome", "no content", "half a content", "no more than an id"],
)
async def test_what_is_of_another_place_or_can_not_be_is_read_instead(
    outcomes: Outcomes, tables: Tables, row: dict[str, Any]
) -> None:
    tables.row(MINE)
    tables.watermark(PLACE.offset + 1)
    with outcomes.expecting(MINE):
        outcomes.hear(Notification({0: 6}, [row]))
        assert "refused" == (await outcomes.of(MINE, PLACE, soon())).outcome
