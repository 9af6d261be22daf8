"""Commands after the last events: decided again in log order, as a processor would (decision 15)."""

import heapq
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from processor.domain.batch import Batch, usages_of, wanted
from processor.domain.journal import JournalRow
from processor.domain.policy import Policy
from processor.postgres import tables
from proof.log.progress import Progress
from proof.log.snapshot import PATIENT, watermarks
from proof.log.streams import TOGETHER_BYTES, Published, Stream, bytes_of, read_again
from proof.rebuild.missing_decisions import Gaps, load_gaps
from schemas.words import Verb
from service.errors import OperatorError
from service.kafka import go_to
from service.postgres import Connection, connect
from service.settings import ServiceSettings

PART_RECORDS: Final = 500


async def decide_rest(
    settings: ServiceSettings,
    connection: Connection,
    consumer: AIOKafkaConsumer,
    policy: Policy,
    ends: Mapping[int, int],
    file: Path | None,
    list_anew: Callable[[JournalRow], None],
    progress: Progress,
) -> tuple[int, list[str]]:
    """Decide all that is left; returns the number of commands, and which gaps none of them fits in."""
    marks = await watermarks(connection)
    where = {
        TopicPartition(settings.topics.commands, partition): marks[partition].next_offset
        for partition, end in ends.items()
        if marks[partition].next_offset < end
    }
    async with await connect(settings, "allocations-rebuild", PATIENT) as patient:
        gaps = await load_gaps(patient, policy, file, progress)
    count = sum(ends[each.partition] - start for each, start in where.items())
    progress.phase("anew", count)
    go_to(consumer, where)
    streams = [Stream(consumer, each, start, ends[each.partition]) for each, start in where.items()]
    part: list[Published] = []
    size = 0
    async for record in _in_log_order(streams):
        part.append(record)
        size += bytes_of(record)
        if len(part) == PART_RECORDS or size >= TOGETHER_BYTES:
            await _decide(connection, part, len(ends), policy, gaps, list_anew)
            progress.advance(len(part))
            part, size = [], 0
    await _decide(connection, part, len(ends), policy, gaps, list_anew)
    progress.advance(len(part))
    return count, list(gaps.unfilled())


async def _in_log_order(streams: Iterable[Stream]) -> AsyncIterator[Published]:
    """By the time at which the broker appended them; within a partition, by offset."""
    heads = [(head.timestamp, head.partition, stream) for stream in streams if (head := await stream.head())]
    heapq.heapify(heads)
    while heads:
        _, partition, stream = heapq.heappop(heads)
        yield stream.take()
        if head := await stream.head():
            heapq.heappush(heads, (head.timestamp, partition, stream))


async def _decide(
    connection: Connection,
    part: list[Published],
    partitions: int,
    policy: Policy,
    gaps: Gaps,
    list_anew: Callable[[JournalRow], None],
) -> None:
    """One commit."""
    reads = [read_again(record, partitions) for record in part]
    if not reads:
        return
    batch = Batch(await tables.load(connection, wanted(reads, usages=usages_of(reads, policy))), policy)
    for each in reads:
        if each.record.offset != batch.watermarks[each.record.partition].next_offset:
            raise OperatorError(
                f"partition {each.record.partition} of the log has no record before offset {each.record.offset}, or "
                "somebody else has written to this database meanwhile: restore the topic, or stop that"
            )
        try:
            gaps.add(batch, each)
        except ArithmeticError as error:
            raise OperatorError(
                f"partition {each.record.partition}, offset {each.record.offset}, decided anew: {error}. What was "
                "never published can not be put back under these settings: run this on an empty database, with "
                "PROCESSOR_CONNECTIONS, PROCESSOR_CURRENCIES, PROCESSOR_LIMITS and all else of policy as it was"
            ) from error
    try:
        await tables.commit(connection, batch)
    except tables.OutdatedError as error:
        raise OperatorError(
            f"what was decided anew contradicts what the events say ({error}): it can not be put back as it was"
        ) from error
    for row, _ in batch.journal:
        if row.event is not None and (row.facts or row.verb == Verb.RESERVE):
            list_anew(row)
