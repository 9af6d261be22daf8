"""What was published, to be published again otherwise than it was."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from aiokafka import ConsumerRecord

from schemas.records import Headers
from service.kafka import admin
from service.topics import ensure_topics
from tests.support.system import System


@dataclass(frozen=True)
class Sent:
    """A record, to be published again on its partition."""

    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass
class Published:
    """A filled system and the records of its events topic, by partition."""

    system: System
    records: dict[int, list[Sent]]

    async def rewrite(self, *changes: Callable[[list[Sent]], list[Sent]]) -> None:
        """Make the topic anew, with the first partition changed, or the first and the second."""
        changed = {partition: change(list(self.records[partition])) for partition, change in enumerate(changes)}
        topic, records = self.system.topics.events, self.records | changed
        await recreate(self.system, topic)
        async with self.system.producer() as producer:
            for partition, sent in records.items():
                for each in sent:
                    await producer.send(topic, each.value, each.key, partition, headers=each.headers)
            await producer.flush()


async def recreate(system: System, topic: str) -> None:
    async with admin(system.settings()) as client:
        await client.delete_topics([topic])
    async with asyncio.timeout(20):
        while True:
            try:
                if await ensure_topics(system.settings(), system.partitions, replication=1):
                    return
            except Exception as error:  # noqa: BLE001 - the broker is still deleting
                print(error)
            await asyncio.sleep(0.2)


def by_partition(records: list[ConsumerRecord]) -> dict[int, list[Sent]]:
    found: dict[int, list[Sent]] = {0: [], 1: []}
    for record in records:
        found[record.partition].append(Sent(record.key, record.value, list(record.headers)))
    return found


def position(sent: Sent) -> str:
    return dict(sent.headers)["ce_id"].decode()
