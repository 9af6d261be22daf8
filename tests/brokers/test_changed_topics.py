"""Topics that somebody changes or deletes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from bitgo.client import reserve_body
from schemas.words import Kind
from service.errors import EXIT_OPERATOR
from tests.brokers.system_on import system_on
from tests.support.servers import Servers
from tests.support.system import System


@asynccontextmanager
async def administrator(system: System) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=system.kafka)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def test_given_fewer_replicas_than_must_be_in_sync_then_a_start_is_refused(
    beside: Servers, tmp_path: Path
) -> None:
    async with system_on(beside, tmp_path) as system:
        async with administrator(system) as client:
            change = {"min.insync.replicas": "2"}
            name = system.topics.commands
            await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs=change)])
        await system.processor(wait=False)
        async with asyncio.timeout(30):
            while not system.ended:
                await asyncio.sleep(0.1)
        last = system.log("processor-0").read_text().splitlines()[-1]
        assert [("processor-0", EXIT_OPERATOR)] == system.ended, last
        assert "min.insync.replicas=2 and partitions with 1 replicas" in last


async def test_given_a_topic_that_is_deleted_while_all_run_then_callers_get_503_and_a_sentence_says_why(
    beside: Servers, tmp_path: Path
) -> None:
    async with system_on(beside, tmp_path) as system:
        await system.processor()
        async with await system.ingress(answer_timeout_seconds="3") as bitgo:
            body = reserve_body(Kind.ALLOCATION)
            assert 200 == (await bitgo.reserve(Kind.ALLOCATION, body)).status
            async with administrator(system) as client:
                await client.delete_topics([system.topics.commands])
            answers = [await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION)) for _ in range(6)]
            assert {503} == {answer.status for answer in answers}
            said = ""
            async with asyncio.timeout(60):
                while "kafka" not in said:
                    await asyncio.sleep(0.5)
                    said = str((await system.readyz("ingress-0"))[1].get("problems"))
            print(said, (await system.readyz("processor-0"))[1], system.ended)
            assert 200 == (await bitgo.status(Kind.ALLOCATION, body["allocationId"])).status
        assert not [name for name, status in system.ended if name.startswith("ingress") and status]
