"""Publishes the journal's events and the dead letters, each once, in journal order (decision 16).

The two travel apart, each by a publisher with a producer and transactions of its own, so that neither waits for what
the other can not publish. One publisher of each at a time: the holder of an advisory lock. What makes it exact is not
the lock but Kafka: the transactional id is fixed, so a new publisher fences the old one before it reads where that one
stopped. The position is the last committed record of ours in each partition, in Kafka itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, LiteralString

from aiokafka import AIOKafkaProducer
from aiokafka.structs import RecordMetadata

from processor import metrics
from processor.relay import outbox
from processor.relay.hanging_transactions import HangingTransactions
from processor.relay.outbox import Outbox, dead_letters_of, events_of, longest_copy
from processor.settings import ProcessorSettings
from service.background import keep_running
from service.failures import is_passing
from service.health import Health
from service.kafka import admin, close_producer, describe_all, reader
from service.log_checks import check_published
from service.logs import logger
from service.postgres import KEYED, Connection, connect

TRY_LOCK_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 0.1
"""Events are gathered for this long: a Kafka transaction costs the same for one event as for hundreds."""
TRANSACTION_TIMEOUT_MS: Final = 15_000
ABORT_SECONDS: Final = 2.0
BATCH_MAX_BYTES: Final = 256 * 1024
"""A larger record is a batch by itself."""
LIMITS: Final = {"idle_session_timeout": "5s", "transaction_timeout": "0"}
"""A suspended publisher loses its lock: a running one queries Postgres ten times a second. Its statements only read, so
they may take long over large dead letters without blocking anyone."""

_LOCK: Final[LiteralString] = "SELECT pg_try_advisory_lock(hashtext(%s))"
_log = logger("relay")


class Relay:
    def __init__(self, settings: ProcessorSettings, health: Health) -> None:
        self._health = health
        self._publishers = [
            _Publisher(settings, health, "relay", "allocations-relay", _events),
            _Publisher(settings, health, "dead letters", "allocations-dead-letters", _dead_letters),
        ]

    async def run(self) -> None:
        """Publish whenever this process holds the locks, until cancelled. Raises OperatorError."""
        async with asyncio.TaskGroup() as tasks:
            for each in self._publishers:
                tasks.create_task(keep_running(each.task, each.run, self._health))


async def _events(settings: ProcessorSettings) -> Outbox:
    return events_of(settings.topics)


async def _dead_letters(settings: ProcessorSettings) -> Outbox:
    """With copies as large as the topic takes them at present."""
    topics = settings.topics
    async with admin(settings) as client:
        facts = (await describe_all(client, [topics.dead_letters])).topics[topics.dead_letters]
    return dead_letters_of(topics, longest_copy(int(facts.settings["max.message.bytes"])))


class _Publisher:
    """Publishes to one topic. `task` is its name in /readyz and metrics; `open_box` returns its outbox."""

    def __init__(
        self,
        settings: ProcessorSettings,
        health: Health,
        task: str,
        transactional_id: str,
        open_box: Callable[[ProcessorSettings], Awaitable[Outbox]],
    ) -> None:
        self.task = task
        self._settings = settings
        self._health = health
        self._topics = settings.topics
        self._transactional_id = f"{self._topics.prefix}{transactional_id}"
        self._open_box = open_box

    async def run(self) -> None:
        """Publish while this process holds the lock; waits out passing failures."""
        while True:
            try:
                await self._hold_lock()
            except Exception as error:
                if not is_passing(error):
                    raise
                words = f"{type(error).__name__}: {str(error).strip()}"
                _log.warning("relay_retrying", task=self.task, error=words)
                self._health.problem(self.task, f"nothing is published: {words}")
            await asyncio.sleep(TRY_LOCK_SECONDS)

    async def _hold_lock(self) -> None:
        async with await connect(self._settings, "allocations-relay", KEYED | LIMITS) as connection:
            box = await self._open_box(self._settings)
            while not await self._try_lock(connection, box):
                self._health.well(self.task)
                await asyncio.sleep(TRY_LOCK_SECONDS)
            await self._relay(connection, box)

    async def _try_lock(self, connection: Connection, box: Outbox) -> bool:
        row = await (await connection.execute(_LOCK, (f"relay {box.topic}",))).fetchone()
        return bool(row and row[0])

    async def _relay(self, connection: Connection, box: Outbox) -> None:
        producer = AIOKafkaProducer(
            **self._settings.kafka_options(),
            transactional_id=self._transactional_id,
            enable_idempotence=True,
            acks="all",
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            request_timeout_ms=10_000,
            max_batch_size=BATCH_MAX_BYTES,
        )
        await producer.start()
        try:
            await _abort_what_was_left_open(connection, producer, box)
            await self._resume(connection, box)
            _log.info("relay_started", topic=box.topic, after=box.seen)
            self._health.well(self.task)
            self._note_relaying(box, yes=True)
            left_open = HangingTransactions(self._settings, box.topic, box.seen)
            while True:
                more = await _publish(connection, producer, box)
                await left_open.look()
                await asyncio.sleep(0 if more else LOOK_SECONDS)
        finally:
            self._note_relaying(box, yes=False)
            await close_producer(producer)

    def _note_relaying(self, box: Outbox, *, yes: bool) -> None:
        if box.topic == self._topics.events:
            metrics.RELAYING.set(yes)

    async def _resume(self, connection: Connection, box: Outbox) -> None:
        """Where the last publisher stopped, read from what it committed. Raises OperatorError."""
        watermarks = await outbox.load_watermarks(connection)
        async with reader(self._settings) as consumer:
            published = await box.resume(consumer, watermarks)
        if box.topic == self._topics.events:
            watermarks = await outbox.load_watermarks(connection)
            await check_published(connection, self._topics, published, watermarks)


async def _abort_what_was_left_open(connection: Connection, producer: AIOKafkaProducer, box: Outbox) -> None:
    """Abort a record on every partition, and with it whatever an earlier transaction of ours left open there.

    A broker that dies while it ends a transaction may forget some of its partitions. Records left open there are
    invisible when we read where the last publisher stopped, and yet our next commit would commit them.
    """
    partitions = await outbox.load_watermarks(connection)
    async with asyncio.timeout(TRANSACTION_TIMEOUT_MS / 1000):
        await producer.begin_transaction()
        await asyncio.gather(*[await producer.send(box.topic, b"", partition=n) for n in partitions])
        await producer.abort_transaction()


async def _publish(connection: Connection, producer: AIOKafkaProducer, box: Outbox) -> bool:
    """Publish new records in one Kafka transaction; true if there may be more already."""
    news = await box.load(connection)
    if news.records:
        async with asyncio.timeout(TRANSACTION_TIMEOUT_MS / 1000):
            await _publish_all(producer, news.records)
    box.seen.update(news.seen)
    metrics.EVENTS.labels(box.topic).inc(len(news.records))
    return news.is_full


async def _publish_all(producer: AIOKafkaProducer, records: Iterable[dict[str, Any]]) -> None:
    """In one transaction. It would wait for ever for a broker that refuses a record for now, and so would its abort:
    what can not be aborted in time is aborted when the next producer of this transactional id starts.
    """
    await producer.begin_transaction()
    try:
        await asyncio.gather(*await _send(producer, records))
        await producer.commit_transaction()
    except BaseException:
        with suppress(Exception):
            async with asyncio.timeout(ABORT_SECONDS):
                await producer.abort_transaction()
        raise


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
