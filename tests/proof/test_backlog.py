"""A full topic: whole batches, each decided while the one before it is written; more events than one transaction."""

from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from processor.kafka.batcher import BATCH_MAX_RECORDS
from processor.relay.outbox import RECORDS_AT_ONCE
from schemas.records import position_of
from tests.proof.conftest import differences, new_history, verify
from tests.support.history import publish
from tests.support.servers import Servers
from tests.support.system import System, running_system

COMMANDS, PARTITIONS = 3200, 2


@pytest.fixture
async def system(servers: Servers, database_url: str, tmp_path: Path) -> AsyncIterator[System]:
    async with running_system(servers, database_url, tmp_path, partitions=PARTITIONS) as running:
        yield running


async def test_a_full_topic_is_applied_as_if_it_had_come_slowly(system: System) -> None:
    """Every table follows from the log, and every event is there, once, in the journal's order."""
    await system.processor()
    await system.supervisor.remove("processor-0")
    async with system.producer() as producer:
        await publish(producer, system.topics, system.partitions, new_history(), COMMANDS)
    await system.processor()
    await system.caught_up(60)
    expected = defaultdict(list)
    for row in system.rows('SELECT partition, "offset" FROM journal WHERE event IS NOT NULL ORDER BY 1, 2'):
        expected[row["partition"]].append(row["offset"])
    assert max(map(len, expected.values())) > RECORDS_AT_ONCE
    assert 3 <= system.log("processor-0").read_text().count(f'"records":{BATCH_MAX_RECORDS},')
    found = defaultdict(list)
    for record in await system.records(system.topics.events, sum(map(len, expected.values()))):
        source = position_of(record.headers, "ce_id")
        assert source is not None
        found[record.partition].append(source.offset)
    assert expected == found
    ran = await verify(system)
    assert (0, []) == (ran.status, differences(ran)), ran
