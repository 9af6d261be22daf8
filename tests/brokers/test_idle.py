"""A system that is idle for longer than the broker remembers its producers: the next command and its event get through.

The broker forgets a producer's last sequence number (`producer.id.expiration.ms`, a day), and who has a transactional
id (`transactional.id.expiration.ms`, a week). Here both take some seconds.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bitgo.client import reserve_body
from local.jars import ensure_jars
from local.kafka import Kafka
from local.supervisor import Supervisor
from schemas.words import Kind
from tests.brokers.system_on import system_on, verified
from tests.support.own_postgres import own_postgres
from tests.support.servers import Servers

IDLE_SECONDS = 12.0
PROPERTIES = """
producer.id.expiration.ms=3000
producer.id.expiration.check.interval.ms=500
transactional.id.expiration.ms=4000
transaction.remove.expired.transaction.cleanup.interval.ms=1000
transaction.max.timeout.ms=900000
"""


@pytest.fixture(scope="module")
async def forgetful(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Servers]:
    folder = tmp_path_factory.mktemp("forgetful")
    kafka = Kafka(folder, ensure_jars(print), print)
    await kafka.prepare()
    with (kafka.folder / "server.properties").open("a") as properties:
        properties.write(PROPERTIES)
    try:
        async with Supervisor(print) as supervisor, own_postgres(folder / "own") as postgres:
            supervisor.start(kafka.child())
            await kafka.wait_ready()
            yield Servers("embedded", kafka.bootstrap, postgres.superuser_url)
    finally:
        kafka.close()


async def test_given_a_broker_that_has_forgotten_its_producers_then_commands_and_events_go_on(
    forgetful: Servers, tmp_path: Path
) -> None:
    async with system_on(forgetful, tmp_path) as system:
        await system.processor()
        async with await system.ingress() as bitgo:
            sent = []
            for _ in range(3):
                for _ in range(16):
                    body = reserve_body(Kind.ALLOCATION)
                    answer = await bitgo.reserve(Kind.ALLOCATION, body)
                    assert (200, "reserved") == (answer.status, answer.body.get("status")), answer
                    sent.append(body["allocationId"])
                await system.records(system.topics.events, len(sent))
                await asyncio.sleep(IDLE_SECONDS)
        journal = system.rows("SELECT subject_id::text AS id FROM journal WHERE outcome = 'applied'")
        assert sorted(sent) == sorted(row["id"] for row in journal)
        events = await system.records(system.topics.events, len(sent))
        assert sorted(sent) == sorted(str(record.key.decode()) for record in events)
        assert [] == system.ended
        assert "relay_retrying" in system.log("processor-0").read_text(), "the broker was to forget"
        await verified(system, {})
