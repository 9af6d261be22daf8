"""Faust joins the group, follows rebalances and feeds the agent; its offset tracking, tables and threads are off.

It stays because membership, rebalancing and flow control are what a stream processor is for, and they hold here.
Everything private in Faust and in aiokafka's consumer that is overridden stands in this file, but for the decoding of
records, which all processes share: service/aiokafka_decoder.py, and for the membership: processor/kafka/coordinator.py.

Faust's own offset tracking loses records (a batch that raised is acknowledged), so it tracks and commits nothing, and
the position comes from Postgres at every assignment. The consumer runs on the application's own event loop instead of
a thread of its own, which makes a round trip a third faster; the price is that nothing may block the loop for seconds,
because heartbeats share it. `tests/processor/test_transport.py` fails when an upgrade changes what this leans on.
"""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

import faust
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata
from faust.tables.manager import TableManager
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.transports import SchedulingStrategyT
from faust.types.tuples import ConsumerMessage

from processor.kafka.batcher import Batcher
from service.aiokafka_decoder import corrupt
from service.health import Health

Fetched = Sequence[ConsumerRecord[bytes, bytes]]
"""The records of one partition from one fetch, in log order."""

FETCH_MAX_WAIT_MS: Final = 100
"""Faust hard-codes 1500, and a record that arrives during a fetch would wait for as long as that one does."""

Positions = Callable[[AbstractSet[int]], Awaitable[Mapping[int, int]]]
"""Returns `next_offset` for the partitions of the commands topic that were assigned, after the checks of decision 8."""


class FetchMessage(ConsumerMessage):  # type: ignore[misc]
    """One Faust message for all records of a fetch, so that Faust's work per message is done once."""

    __slots__ = ("records",)

    def __init__(self, tp: TP, records: Fetched, generation_id: int) -> None:
        last = records[-1]
        super().__init__(
            *(tp.topic, tp.partition, last.offset, last.timestamp / 1000, last.timestamp_type),
            *(None, None, None, None, 0, 0),  # what headers, key and value say stands in the records
            tp=tp,
            generation_id=generation_id,
        )
        self.records = records


class _Fetches(SchedulingStrategyT):  # type: ignore[misc]
    """Yields whole partitions, where Faust would alternate between partitions record by record."""

    def iterate(self, records: Mapping[TP, Fetched]) -> Iterator[tuple[TP, Fetched]]:
        return iter(records.items())


class _Thread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """Faust's consumer thread without the thread."""

    async def start(self) -> None:
        self._thread_started.set()
        await self._default_start()
        await self.on_thread_started()

    async def stop(self) -> None:
        if self._started.is_set():
            self._stopped.set()
            await self._shutdown_thread()

    async def call_thread(self, fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        result = fun(*args, **kwargs)
        return await result if inspect.isawaitable(result) else result

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS  # noqa: SLF001
        return consumer


class _Consumer(driver.Consumer):  # type: ignore[misc]
    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, thread_loop=self.loop, beacon=self.beacon)

    def _to_message(self, tp: TP, records: Fetched) -> FetchMessage:
        return FetchMessage(tp, records, self.app.consumer_generation_id)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:  # noqa: ASYNC109 - the signature is Faust's
        """Pass messages on as soon as the batcher has room; while the flow is suspended, leave them to Faust.

        Faust creates four tasks per message, to notice a suspended flow while it waits; and it bounds messages, where
        records are what takes memory.
        """
        self.app.tell_corrupt()
        async for tp, message in super().getmany(timeout):
            read = self._read_offset[tp]
            is_next = read is None or message.offset >= read
            if is_next and self.app.flow_control.is_active() and await self._has_room():
                await self.callback(message)
                self._read_offset[tp] = message.offset
            else:
                yield tp, message

    async def _has_room(self) -> bool:
        """Wait for room; false if the flow was suspended first."""
        batcher: Batcher = self.app.batcher
        if not batcher.has_room():
            await self.wait_first(batcher.room(), self.suspend_flow.wait())
        return batcher.has_room()

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Called by Faust after every assignment and whenever its flow restarts."""
        assigned = {tp.partition: tp for tp in self.assignment() if tp.topic == self.app.commands_topic}
        if not assigned:
            return {}
        positions = await self.app.positions(assigned.keys())
        wanted = {assigned[partition]: offset for partition, offset in positions.items() if partition in assigned}
        await self.seek_wait(wanted)
        return wanted


class _Transport(driver.Transport):  # type: ignore[misc]
    Consumer = _Consumer


class _NoTables(TableManager):  # type: ignore[misc]
    """Faust's table manager without its one-second wait for table definitions: there are no tables."""

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()


class App(faust.App):  # type: ignore[misc]
    """A Faust application whose positions come from Postgres."""

    def __init__(
        self, group_id: str, *, commands_topic: str, batcher: Batcher, positions: Positions, health: Health, **conf: Any
    ) -> None:
        self.commands_topic = commands_topic
        self.batcher = batcher
        self.positions = positions
        self.health = health
        super().__init__(group_id, TableManager=_NoTables, ConsumerScheduler=_Fetches, **conf)

    def on_init_dependencies(self) -> Any:
        """Without Faust's own monitor, which records every event: our metrics are in `processor/metrics.py`."""
        dependencies = super().on_init_dependencies()
        self.sensors.remove(self.monitor)
        return dependencies

    def _new_transport(self) -> _Transport:
        return _Transport(self.conf.broker_consumer, self)

    def tell_corrupt(self) -> None:
        """Report in /readyz which assigned partitions are stopped by a batch with a wrong checksum."""
        assigned = self.assigned() if corrupt else frozenset()
        words = [said for (topic, n), said in corrupt.items() if topic == self.commands_topic and n in assigned]
        if words:
            self.health.problem("log", "; ".join(words))
        else:
            self.health.well("log")

    def assigned(self) -> frozenset[int]:
        """The partitions of the commands topic that are assigned at present."""
        consumer = self.consumer._thread._consumer  # noqa: SLF001
        if consumer is None:
            return frozenset()
        return frozenset(tp.partition for tp in consumer.assignment() if tp.topic == self.commands_topic)

    async def seek(self, partition: int, offset: int) -> None:
        await self.consumer.seek(TP(self.commands_topic, partition), offset)

    async def write_group_offsets(self, offsets: Mapping[int, int]) -> None:
        """For lag tools only; nothing here reads them (decision 1). A commit during a rebalance would restart it."""
        consumer = self.consumer._thread._consumer  # noqa: SLF001
        if consumer is not None and offsets and not _is_rejoining(consumer):
            await consumer.commit(
                {
                    TopicPartition(self.commands_topic, partition): OffsetAndMetadata(offset, "")
                    for partition, offset in offsets.items()
                }
            )


def _is_rejoining(consumer: AIOKafkaConsumer) -> bool:
    subscription = consumer._subscription.subscription  # noqa: SLF001
    return subscription is None or consumer._coordinator.need_rejoin(subscription)  # noqa: SLF001
