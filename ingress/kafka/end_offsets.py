"""How long the log is: read once a second, for the lag limit and to know whether Kafka answers."""

import asyncio
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from service.failures import is_passing
from service.health import Health
from service.kafka import commands_reader
from service.log_checks import LogIdentity
from service.logs import logger
from service.settings import ServiceSettings

LOOK_SECONDS: Final = 1.0
ANSWER_SECONDS: Final = 3.0

_log = logger("ingress")


class EndOffsets:
    """Where each partition of the commands topic ended when it was read last; 0 before that."""

    def __init__(self, settings: ServiceSettings, identity: LogIdentity, health: Health) -> None:
        self._settings = settings
        self._partitions = [TopicPartition(identity.commands_topic, each) for each in range(identity.partitions)]
        self._health = health
        self._ends: dict[int, int] = {}

    def of(self, partition: int) -> int:
        return self._ends.get(partition, 0)

    async def follow(self) -> None:
        """Read them for ever. Raises what will not pass."""
        while True:
            try:
                async with commands_reader(self._settings) as consumer:
                    await self._read_often(consumer)
            except Exception as error:
                if not is_passing(error):
                    raise
                self._health.problem("kafka", f"Kafka does not answer: {type(error).__name__}")
                _log.warning("kafka_unavailable", error=f"{type(error).__name__}: {error}")
                await asyncio.sleep(LOOK_SECONDS)

    async def _read_often(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            async with asyncio.timeout(ANSWER_SECONDS):
                ends = await consumer.end_offsets(self._partitions)
            self._ends = {each.partition: end for each, end in ends.items()}
            self._health.well("kafka")
            await asyncio.sleep(LOOK_SECONDS)
