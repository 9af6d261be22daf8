"""Publishing commands that were published before: idempotent, acknowledged by all replicas, never in a transaction."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from replay.captured import RECORD_MAX_BYTES
from service.logs import logger
from service.settings import ServiceSettings

FLUSH_SECONDS: Final = 5.0
REQUEST_MS: Final = 10_000

_log = logger("replay")


@asynccontextmanager
async def producing(settings: ServiceSettings) -> AsyncIterator[AIOKafkaProducer]:
    """What is not flushed five seconds after the end never will be: aiokafka itself would try for ever."""
    producer = AIOKafkaProducer(
        **settings.kafka_options(),
        acks="all",
        enable_idempotence=True,
        linger_ms=0,
        request_timeout_ms=REQUEST_MS,
        max_request_size=RECORD_MAX_BYTES,
    )
    try:
        await producer.start()
        yield producer
    finally:
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await producer.stop()
        except (TimeoutError, KafkaError) as error:
            _log.warning("producer_not_flushed", error=str(error))
