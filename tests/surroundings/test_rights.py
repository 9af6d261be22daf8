"""A Kafka user that lacks a right is told which; with those of docs/operations.md everything works."""

import asyncio
from pathlib import Path

from bitgo.client import reserve_body
from schemas.words import Kind
from tests.support.own_postgres import own_postgres
from tests.support.servers import Servers
from tests.support.system import System, running_system
from tests.surroundings.rights import Operation, Resource, guarded_kafka, ingress_rights, processor_rights


async def waits_for(system: System, name: str, *words: str) -> None:
    """Until /readyz of a process has the words; it does not end."""
    said = ""
    async with asyncio.timeout(30):
        while not all(word in said for word in words):
            await asyncio.sleep(0.1)
            said = str((await system.readyz(name))[1].get("problems"))


async def test_a_missing_right_is_named_and_taken_up_when_it_is_given(tmp_path: Path) -> None:
    async with (
        guarded_kafka(tmp_path / "kafka") as kafka,
        own_postgres(tmp_path / "own") as postgres,
        running_system(Servers("embedded", kafka.bootstrap, postgres.url), postgres.url, tmp_path) as system,
    ):
        needed = processor_rights(system.topics, f"{system.prefix}processors")
        later = [right for right in needed if right.operation is Operation.DESCRIBE_CONFIGS]
        group = [right for right in needed if right.resource is Resource.GROUP]
        await kafka.grant("processor", [right for right in needed if right not in later + group])
        await system.processor(wait=False, **kafka.settings("processor"))
        await waits_for(system, "processor-0", "the right DescribeConfigs", system.prefix)
        await kafka.grant("processor", later)
        await waits_for(system, "processor-0", "the right Read on the group", system.prefix)
        await kafka.grant("processor", group)
        await system.ready("processor-0")
        await kafka.grant("ingress", ingress_rights(system.topics))
        async with await system.ingress(**kafka.settings("ingress")) as bitgo:
            assert 200 == (await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))).status
        async with system.producer() as producer:
            await producer.send_and_wait(system.topics.commands, b"no command")
        await system.records(system.topics.events, 1)
        await system.records(system.topics.dead_letters, 1)
        assert [] == system.ended
        assert "hunter2" not in system.log("processor-0").read_text() + system.log("ingress-0").read_text()
