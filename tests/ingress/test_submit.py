"""What an ingress makes of a position that has no journal row."""

from collections.abc import AsyncIterator

import pytest

from ingress.database import Database
from ingress.problems import ProblemError
from ingress.publisher import Publisher
from ingress.rows import Rows
from ingress.submit import Submission, finish_command
from ingress.told import Told
from ingress.watermarks import Watermarks
from schemas.records import Position
from schemas.words import Kind, Verb
from service.health import Health
from service.postgres import connect
from service.settings import ServiceSettings

PLACE = Position("commands", 0, 5)


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
async def submission(database_url: str, health: Health) -> AsyncIterator[Submission]:
    settings = ServiceSettings(postgres_url=database_url)  # type: ignore[arg-type]
    database, told = Database(settings, "test"), Told()
    watermarks = Watermarks(settings, database, told, health)
    watermarks._advance({PLACE.partition: PLACE.offset + 1})
    publisher = Publisher(settings, 1, health)
    yield Submission(publisher, watermarks, Rows(database), told, health, lag_max_records=10, answer_timeout=5)
    await database.close()


@pytest.mark.parametrize(("pruned_before", "problems"), [(PLACE.offset + 1, set()), (PLACE.offset, {"log"})])
async def test_a_row_that_was_pruned_before_it_was_read_is_no_other_log(
    submission: Submission, database_url: str, health: Health, pruned_before: int, problems: set[str]
) -> None:
    """The caller asks again either way; but a row that nobody pruned and that is not there is an alarm."""
    async with await connect(ServiceSettings(postgres_url=database_url), "test") as connection:  # type: ignore[arg-type]
        await connection.execute(
            "INSERT INTO watermark VALUES (%s, %s, %s, %s)",
            (PLACE.partition, PLACE.offset + 1, bytes(32), pruned_before),
        )
    command = finish_command(Kind.ALLOCATION, Verb.CLEAR, "e3b0c442-98fc-4c14-9afb-f4c8996fb924")
    with pytest.raises(ProblemError) as caught:
        await submission.outcome_of(command, PLACE)
    assert (503, "outcome_pending") == (caught.value.status, caught.value.code)
    assert problems == set(health.problems)
