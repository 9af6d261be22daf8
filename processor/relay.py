"""Publishes the journal's events and the dead letters, each once, in journal order (decision 16).

One relay at a time: the holder of an advisory lock. What makes it exact is not the lock but Kafka: the transactional id
is fixed, so a new relay fences the old one before it reads where that one stopped. The position is the last committed
event of each partition, in Kafka itself; nothing else remembers it.
"""

import asyncio
from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, LiteralString

from aiokafka import AIOKafkaProducer
from aiokafka.structs import RecordMetadata

from processor import measures, outbox
from processor.left_open import LeftOpen
from processor.outbox import Outbox, outboxes
from processor.settings import ProcessorSettings
from service.failures import is_passing
from service.health import Health
from service.kafka import reader
from service.log_checks import database_is_older
from service.logs import logger
from service.postgres import KEYED, Connection, connect

TRY_LOCK_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 0.1
"""A Kafka transaction costs the same for one event as for hundreds, so events are gathered for this long."""
TRANSACTION_MAX_RECORDS: Final = 500
TRANSACTION_TIMEOUT_MS: Final = 15_000
BATCH_MAX_BYTES: Final = 256 * 1024
"""A larger record is a batch by itself."""
IDLE_LIMIT: Final = {"idle_session_timeout": "5s"}
"""A relay that sleeps with the lock in hand loses it: while awake it asks Postgres ten times a second."""

_LOCK: Final[LiteralString] = "SELECT pg_try_advisory_lock(hashtext(%s))"
_log = logger("relay")


class Relay:
    def __init__(self, settings: ProcessorSettings, health: Health) -> None:
        self._settings = settings
        self._health = health
        self._topics = settings.topics

    async def run(self) -> None:
        """Relay whenever the lock is ours, for ever."""
        while True:
            try:
                await self._hold_lock()
            except Exception as error:
                if not is_passing(error):
                    raise
                _log.warning("relay_waits", error=f"{type(error).__name__}: {str(error).strip()}")
                self._health.problem("relay", f"events are not published: {type(error).__name__}: {str(error).strip()}")
            measures.RELAYING.set(0)
            await asyncio.sleep(TRY_LOCK_SECONDS)

    async def _hold_lock(self) -> None:
        async with await connect(self._settings, "allocations-relay", KEYED | IDLE_LIMIT) as connection:
            while not await self._try_lock(connection):
                self._health.well("relay")
                await asyncio.sleep(TRY_LOCK_SECONDS)
            await self._relay(connection)

    async def _try_lock(self, connection: Connection) -> bool:
        row = await (await connection.execute(_LOCK, (f"relay {self._topics.events}",))).fetchone()
        return bool(row and row[0])

    async def _relay(self, connection: Connection) -> None:
        producer = AIOKafkaProducer(
            **self._settings.kafka_options(),
            transactional_id=f"{self._topics.prefix}allocations-relay",
            enable_idempotence=True,
            acks="all",
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            request_timeout_ms=10_000,
            max_batch_size=BATCH_MAX_BYTES,
        )
        await producer.start()
        try:
            await self._abort_what_was_left_open(connection, producer)
            boxes = await self._resume(connection)
            _log.info("relaying", after={box.topic: box.seen for box in boxes})
            self._health.well("relay")
            measures.RELAYING.set(1)
            left_open = LeftOpen(self._settings, boxes[0].seen)
            while True:
                more = await self._publish(connection, producer, boxes)
                await left_open.look()
                await asyncio.sleep(0 if more else LOOK_SECONDS)
        finally:
            await producer.stop()

    async def _abort_what_was_left_open(self, connection: Connection, producer: AIOKafkaProducer) -> None:
        """Abort a record on every partition, and with it whatever an earlier transaction of ours left open there.

        A broker that dies while it closes a transaction may forget some of its partitions. What was left open is not
        seen by whoever reads where the last relay stopped, and yet our next commit would commit it.
        """
        partitions = await outbox.load_watermarks(connection)
        topics = self._topics.events, self._topics.dead_letters
        await producer.begin_transaction()
        await asyncio.gather(*[await producer.send(topic, b"", partition=n) for topic in topics for n in partitions])
        await producer.abort_transaction()

    async def _resume(self, connection: Connection) -> list[Outbox]:
        """Where the last relay stopped, read from what it committed."""
        watermarks = await outbox.load_watermarks(connection)
        async with reader(self._settings) as consumer:
            boxes = [await each.resume(consumer, watermarks) for each in outboxes(self._topics)]
        watermarks = await outbox.load_watermarks(connection)
        for partition, seen in boxes[0].seen.items():
            if seen >= watermarks[partition]:
                raise database_is_older(self._topics, partition, seen, watermarks[partition])
        return boxes

    async def _publish(self, connection: Connection, producer: AIOKafkaProducer, boxes: list[Outbox]) -> bool:
        """Publish what is new, in one Kafka transaction; true when there may be more already."""
        news = [await each.load(connection, TRANSACTION_MAX_RECORDS) for each in boxes]
        records = [record for each in news for record in each.records]
        if records:
            async with producer.transaction():
                await asyncio.gather(*await _send(producer, records))
        for box, each in zip(boxes, news, strict=True):
            box.seen.update(each.seen)
            measures.EVENTS.labels(box.topic).inc(len(each.records))
        return any(each.is_full for each in news)


async def _send(
    producer: AIOKafkaProducer, records: Iterable[dict[str, Any]]
) -> "list[asyncio.Future[RecordMetadata]]":
    """Hand records to the producer in batches; those of a partition follow each other. Gives the acknowledgements."""
    sent = []
    for (topic, partition), group in groupby(records, itemgetter("topic", "partition")):
        batch = producer.create_batch()
        for record in group:
            content = {"key": record["key"], "value": record["value"], "headers": record["headers"], "timestamp": None}
            if batch.append(**content) is None:
                sent.append(await producer.send_batch(batch, topic, partition=partition))
                batch = producer.create_batch()
                batch.append(**content)
        sent.append(await producer.send_batch(batch, topic, partition=partition))
    return sent
