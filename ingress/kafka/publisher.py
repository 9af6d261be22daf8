"""Publishing commands: published, not published, or not known yet (decision 10)."""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata

from schemas.commands import Command
from schemas.records import Position, encode_command, key_of
from schemas.topics import partition_of
from service.health import Health
from service.logs import logger
from service.settings import ServiceSettings

LOG_APPEND_TIME: Final = 1
"""The timestamp type of a real acknowledgement. To a duplicate whose place it has forgotten the broker answers offset
-1 and no timestamp, and aiokafka counts on from that -1 for the second record of a batch: it looks like an offset."""
START_SECONDS: Final = 30.0
SEND_SECONDS: Final = 2.0
STUCK_SECONDS: Final = 2.0
FLUSH_SECONDS: Final = 5.0
RENEW_SECONDS: Final = 1.0
CLOCK_TOLERANCE_SECONDS: Final = 5.0
CLOCK_MEMORY_SECONDS: Final = 60.0

_log = logger("ingress")


class NotPublishedError(Exception):
    """The command is not in the log and will not be."""


class OutcomePendingError(Exception):
    """The command is in the log, or may be, and what became of it is not known."""


class Publisher:
    """One idempotent producer, replaced after an error that it cannot recover from."""

    def __init__(self, settings: ServiceSettings, partitions: int, health: Health) -> None:
        self._settings = settings
        self._partitions = partitions
        self._health = health
        self._topic = settings.topics.commands
        self._producer: AIOKafkaProducer | None = None
        self._renewal: asyncio.Task[None] | None = None
        self._unacknowledged: dict[int, dict[str, float]] = {}
        """By partition, when each command was handed over."""

    async def start(self) -> None:
        self._producer = await self._new_producer()

    async def stop(self) -> None:
        """Flush what was published; give up after five seconds."""
        if self._renewal is not None:
            self._renewal.cancel()
        await self._close(self._producer)

    def is_stuck(self, partition: int) -> bool:
        """The broker that leads the partition has not acknowledged a record for two seconds: it gets nothing new.

        The partitions that others lead go on.
        """
        stuck = [each for each, waiting in self._unacknowledged.items() if _is_old(waiting)]
        if not stuck:
            return False
        return partition in stuck or self._leader(partition) in map(self._leader, stuck)

    def _leader(self, partition: int) -> int | None:
        """As far as our metadata know."""
        if self._producer is None:
            return None
        leader: int | None = self._producer.client.cluster.leader_for_partition(TopicPartition(self._topic, partition))
        return leader

    def partition_of(self, allocation_id: str) -> int:
        return partition_of(key_of(allocation_id), self._partitions)

    async def publish(self, command: Command, traceparent: str, deadline: float) -> Position:
        """Publish a command, once; returns its place in the log, if it is acknowledged before the deadline.

        Raises NotPublishedError when it is certain that it is not in the log, OutcomePendingError when nothing is.
        """
        sent_at = time.time()
        acknowledgement = self._watch(command, await self._send(command, traceparent, deadline))
        try:
            async with asyncio.timeout_at(deadline):
                metadata = await acknowledgement
        except TimeoutError:
            raise OutcomePendingError("no acknowledgement yet") from None
        except Exception as error:
            self._renew_after(error)
            raise OutcomePendingError(str(error)) from error
        if metadata.offset < 0 or metadata.timestamp_type != LOG_APPEND_TIME:
            raise OutcomePendingError("the broker had it twice and does not say where")
        self._watch_clock(metadata.timestamp / 1000, sent_at)
        return Position(metadata.topic, metadata.partition, metadata.offset)

    def _watch(self, command: Command, sent: "asyncio.Future[RecordMetadata]") -> "asyncio.Future[RecordMetadata]":
        """A future of this command alone, which may be abandoned: the producer's own may belong to its whole batch."""
        acknowledgement: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
        partition = self.partition_of(command.subject_id)
        self._unacknowledged.setdefault(partition, {})[command.command_id] = time.monotonic()

        def settle(sent: "asyncio.Future[RecordMetadata]") -> None:
            waiting = self._unacknowledged[partition]
            del waiting[command.command_id]
            if not waiting:
                del self._unacknowledged[partition]
            error = KafkaError("the producer was closed") if sent.cancelled() else sent.exception()
            if acknowledgement.done():
                return
            if error is None:
                acknowledgement.set_result(sent.result())
            else:
                acknowledgement.set_exception(error)

        sent.add_done_callback(settle)
        return acknowledgement

    async def _send(self, command: Command, traceparent: str, deadline: float) -> "asyncio.Future[RecordMetadata]":
        """Hand the record to the producer. Only an error raised here means that it was not published."""
        if self._producer is None:
            raise NotPublishedError("no connection to Kafka")
        now = asyncio.get_running_loop().time()
        if now >= deadline:
            raise NotPublishedError("no time is left for it")
        try:
            async with asyncio.timeout_at(min(now + SEND_SECONDS, deadline)):
                acknowledged: asyncio.Future[RecordMetadata] = await self._producer.send(
                    self._topic,
                    encode_command(command),
                    key=key_of(command.subject_id),
                    partition=self.partition_of(command.subject_id),
                    headers=[("traceparent", traceparent.encode())],
                )
                return acknowledged
        except TimeoutError:
            raise NotPublishedError("Kafka does not answer") from None
        except Exception as error:
            self._renew_after(error)
            raise NotPublishedError(str(error)) from error

    def _watch_clock(self, appended_at: float, sent_at: float) -> None:
        """The deadline is our clock's and the append time the broker's: they must agree (decision 10)."""
        now = time.time()
        if sent_at - CLOCK_TOLERANCE_SECONDS <= appended_at <= now + CLOCK_TOLERANCE_SECONDS:
            self._health.well("clock")
            return
        difference = appended_at - now
        self._health.problem(
            "clock",
            f"the broker's clock and ours differ by {difference:.1f} s; at most 5 s are allowed: set the clocks",
        )
        asyncio.get_running_loop().call_later(CLOCK_MEMORY_SECONDS, self._health.well, "clock")

    def _renew_after(self, error: Exception) -> None:
        if self._renewal is not None or (isinstance(error, KafkaError) and error.retriable):
            return
        _log.error("producer_broken", error=str(error))
        broken, self._producer = self._producer, None
        self._renewal = asyncio.create_task(self._renew(broken))

    async def _renew(self, broken: AIOKafkaProducer | None) -> None:
        await self._close(broken)
        while self._producer is None:
            try:
                self._producer = await self._new_producer()
            except Exception as error:  # noqa: BLE001 - without a producer nothing can be published
                _log.warning("producer_retrying", error=f"{type(error).__name__}: {error}")
                await asyncio.sleep(RENEW_SECONDS)
        self._renewal = None
        _log.info("producer_renewed")

    async def _new_producer(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **self._settings.kafka_options(),
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            request_timeout_ms=10_000,
        )
        try:
            async with asyncio.timeout(START_SECONDS):
                await producer.start()
        except BaseException:
            await producer.stop()
            raise
        return producer

    async def _close(self, producer: AIOKafkaProducer | None) -> None:
        if producer is None:
            return
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await producer.stop()
        except Exception as error:  # noqa: BLE001 - it is given up, whatever it says
            _log.warning("producer_not_flushed", error=str(error), unacknowledged=self._waiting())

    def _waiting(self) -> int:
        return sum(map(len, self._unacknowledged.values()))


def _is_old(waiting: Mapping[str, float]) -> bool:
    return time.monotonic() - next(iter(waiting.values())) > STUCK_SECONDS
