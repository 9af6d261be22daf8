"""How long the log is: once a second, for the lag limit and to know whether Kafka answers."""

import asyncio
from typing import Final

from aiokafka import TopicPartition

from ingress.submit import Submission
from service.failures import is_passing
from service.health import Health
from service.kafka import commands_reader
from service.log_checks import LogIdentity
from service.logs import logger
from service.settings import ServiceSettings

LOOK_SECONDS: Final = 1.0
ANSWER_SECONDS: Final = 3.0

_log = logger("ingress")


async def follow_log_ends(
    settings: ServiceSettings, identity: LogIdentity, submission: Submission, health: Health
) -> None:
    """Tell `submission` where each partition ends, for ever."""
    where = [TopicPartition(identity.commands_topic, partition) for partition in range(identity.partitions)]
    while True:
        try:
            async with commands_reader(settings) as consumer:
                while True:
                    async with asyncio.timeout(ANSWER_SECONDS):
                        ends = await consumer.end_offsets(where)
                    submission.log_ends = {each.partition: end for each, end in ends.items()}
                    health.well("kafka")
                    await asyncio.sleep(LOOK_SECONDS)
        except Exception as error:
            if not is_passing(error):
                raise
            health.problem("kafka", f"Kafka does not answer: {type(error).__name__}")
            _log.warning("kafka_away", error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(LOOK_SECONDS)
