"""Reading partitions of a topic once, in order, up to their end offsets at the start. Memory: one fetch."""

import time
from collections import deque
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, TypeAlias

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from processor.domain.batch import Read, Record, read
from schemas.records import NewerSchemaError
from service.errors import OperatorError, UnavailableError
from service.kafka import go_to

POLL_MS: Final = 20
SILENT_SECONDS: Final = 30.0
TOGETHER_BYTES: Final = 16 * 1024 * 1024
"""Bytes of records processed together; the record that reaches the limit is the last."""

Published: TypeAlias = ConsumerRecord[bytes, bytes]
Bounds: TypeAlias = Mapping[int, tuple[int, int]]
"""Start and end, by partition."""


class Stream:
    """One partition of a topic, from `start` up to before `end`. The consumer must be assigned to it."""

    def __init__(self, consumer: AIOKafkaConsumer, where: TopicPartition, start: int, end: int) -> None:
        self._consumer = consumer
        self._where = where
        self._position = start
        self._end = end
        self._buffer: deque[Published] = deque()

    async def head(self) -> Published | None:
        """The next record, which stays the next; None at the end."""
        if not self._buffer:
            await self._fill()
        return self._buffer[0] if self._buffer else None

    def take(self) -> Published:
        """The record that `head` returned."""
        return self._buffer.popleft()

    async def before(self, offset: int) -> list[Published]:
        """The next records before an offset; fewer when they are large, and one at least, where there is one."""
        taken: list[Published] = []
        size = 0
        while size < TOGETHER_BYTES and (head := await self.head()) is not None and head.offset < offset:
            taken.append(self.take())
            size += bytes_of(head)
        return taken

    async def _fill(self) -> None:
        """Transaction markers take offsets without being records: the position may move without any record."""
        heard = time.monotonic()
        while not self._buffer and self._position < self._end:
            records = (await self._consumer.getmany(self._where, timeout_ms=POLL_MS)).get(self._where, ())
            self._buffer.extend(record for record in records if record.offset < self._end)
            position = await self._consumer.position(self._where)
            if position > self._position:
                self._position, heard = position, time.monotonic()
            elif time.monotonic() - heard > SILENT_SECONDS:
                raise UnavailableError(
                    f"{self._where.topic}/{self._where.partition} gave nothing from offset {position} "
                    f"for {SILENT_SECONDS:.0f} s, and it ends at {self._end}"
                )


def bytes_of(record: Published) -> int:
    """Of its key, value and headers."""
    headers = sum(len(name) + len(content or b"") for name, content in record.headers or ())
    return len(record.key or b"") + len(record.value or b"") + headers


def open_stream(consumer: AIOKafkaConsumer, topic: str, partition: int, start: int, end: int) -> Stream:
    """Read one partition with a consumer that reads nothing else meanwhile."""
    where = TopicPartition(topic, partition)
    go_to(consumer, {where: start})
    return Stream(consumer, where, start, end)


async def bounds(consumer: AIOKafkaConsumer, topic: str, partitions: Iterable[int]) -> Bounds:
    """Where each partition starts and ends; for a transactional topic, ends as far as all is decided."""
    where = [TopicPartition(topic, partition) for partition in partitions]
    ends, starts = await consumer.end_offsets(where), await consumer.beginning_offsets(where)
    return {each.partition: (starts[each], ends[each]) for each in where}


def read_again(found: Published, partitions: int) -> Read:
    """Decode a record of the commands topic as the processor does. Raises OperatorError for a newer schema."""
    record = Record(
        partition=found.partition,
        offset=found.offset,
        recorded_at=datetime.fromtimestamp(found.timestamp / 1000, UTC),
        key=found.key,
        value=found.value,
        headers=list(found.headers or ()),
    )
    try:
        return read(record, partitions)
    except NewerSchemaError as error:
        raise OperatorError(
            f"{found.topic}/{found.partition}/{found.offset} can not be read: {error}. A processor halts there too: do "
            "first what its /readyz asks for"
        ) from error
