"""`allocations verify`: the tables as they are, beside what follows from the log (decision 15).

Each partition's log is decided again in order, with the facts that were recorded; then every allocation and every
account is compared with what that left. The order of the looks matters while others write: first a snapshot of the
tables, then the ends of what was published, then the watermarks as they are by now, then the ends of the log, so that
progress is never taken for a difference.
"""

from collections.abc import Mapping
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer

from processor.batch import Watermark
from processor.outbox import outboxes
from proof.accounts import check_accounts
from proof.allocations import check_allocations
from proof.chain import Chain, Heads
from proof.differences import Difference, Report
from proof.fold import Fold
from proof.partition import PartitionCheck, Sources
from proof.progress import Progress
from proof.published import Publications
from proof.snapshot import Snapshot, snapshot, watermarks
from proof.streams import Bounds, bounds, open_stream
from schemas.topics import Topics
from service.errors import OperatorError
from service.kafka import admin, describe_all, reader
from service.log_checks import check_topics, load_identity
from service.migrations import check_migrations
from service.postgres import connect
from service.settings import ServiceSettings


@dataclass
class Verified:
    """What was looked at, and what is no difference but good to know."""

    partitions: int = 0
    commands: int = 0
    allocations: int = 0
    accounts: int = 0
    not_applied: int = 0
    not_published: int = 0


@dataclass(frozen=True)
class _Log:
    """What there is to read, by partition, and where the journal ends by now."""

    commands: Bounds
    events: Bounds
    dead_letters: Bounds
    now: Mapping[int, Watermark]


async def verify(settings: ServiceSettings, heads: Heads, report: Report, progress: Progress) -> Verified:
    """Compare everything.

    Raises OperatorError when there is nothing to compare, and what `is_passing` knows when Kafka or Postgres is away.
    """
    partitions = await _known_partitions(settings)
    async with AsyncExitStack() as stack:
        fold = stack.enter_context(closing(Fold()))
        tables = await stack.enter_async_context(snapshot(settings))
        consumers = [await stack.enter_async_context(reader(settings)) for _ in range(3)]
        log = await _look(settings, consumers[0], partitions)
        verified = Verified(partitions)
        await _Verification(settings.topics, tables, log, fold, consumers, report).run(heads, verified, progress)
        verified.allocations = await check_allocations(fold, tables, report, progress)
        verified.accounts = await check_accounts(fold, tables, report)
    return verified


async def _known_partitions(settings: ServiceSettings) -> int:
    """The number of partitions, when database and cluster belong together."""
    topics = settings.topics
    async with await connect(settings, "allocations-verify") as connection, admin(settings) as client:
        await check_migrations(connection)
        identity = await load_identity(connection)
        if identity is None:
            raise OperatorError(
                "the database is the state of no log yet: either no processor has ever started on it, or it must be "
                "rebuilt first (`allocations rebuild`)"
            )
        cluster = await describe_all(client, (topics.commands, topics.events, topics.dead_letters))
        return check_topics(cluster, topics, identity)


async def _look(settings: ServiceSettings, consumer: AIOKafkaConsumer, partitions: int) -> _Log:
    topics, numbers = settings.topics, range(partitions)
    events = await bounds(consumer, topics.events, numbers)
    dead_letters = await bounds(consumer, topics.dead_letters, numbers)
    async with await connect(settings, "allocations-verify") as connection:
        now = await watermarks(connection)
    return _Log(await bounds(consumer, topics.commands, numbers), events, dead_letters, now)


class _Verification:
    """All partitions, one after the other."""

    def __init__(
        self,
        topics: Topics,
        tables: Snapshot,
        log: _Log,
        fold: Fold,
        consumers: list[AIOKafkaConsumer],
        report: Report,
    ) -> None:
        self._topics = topics
        self._tables = tables
        self._log = log
        self._fold = fold
        self._consumers = consumers
        self._report = report

    async def run(self, heads: Heads, verified: Verified, progress: Progress) -> None:
        covered = {partition: self._covered(partition) for partition in self._log.commands}
        verified.commands = sum(beyond - start for start, beyond in covered.values())
        progress.phase("commands", verified.commands)
        for partition in covered.keys() | heads.keys() | self._tables.watermarks.keys():
            if partition not in covered:
                self._say(partition, 0, "heads" if partition in heads else "watermark", "the log has no such partition")
        for partition, (start, beyond) in covered.items():
            chain = Chain(self._topics.commands, partition, heads.get(partition, ()), self._report)
            sources = self._open(partition, start, beyond, chain)
            await self._check(sources, progress)
            await self._check_rest(sources, chain)
            verified.not_applied += max(0, self._log.commands[partition][1] - beyond)
            verified.not_published += sources.events.not_yet + sources.dead_letters.not_yet
        async for name, partition, offset in self._tables.outside(covered):
            self._say(partition, offset, name, "the log has no place for this row")

    def _covered(self, partition: int) -> tuple[int, int]:
        """The offsets that the journal must have."""
        start, _ = self._log.commands[partition]
        mark = self._tables.watermarks.get(partition)
        return start, max(start, mark.next_offset) if mark else start

    def _open(self, partition: int, start: int, beyond: int, chain: Chain) -> Sources:
        topics, report = self._topics, self._report
        commands, events, dead_letters = self._consumers
        end = min(beyond, self._log.commands[partition][1])
        published = open_stream(events, topics.events, partition, *self._log.events[partition])
        letters = open_stream(dead_letters, topics.dead_letters, partition, *self._log.dead_letters[partition])
        return Sources(
            partition,
            start,
            beyond,
            open_stream(commands, topics.commands, partition, start, end),
            Publications(published, topics.events, topics.commands, "ce_id", report),
            Publications(letters, topics.dead_letters, topics.commands, "dead-letter-position", report),
            chain,
        )

    async def _check(self, sources: Sources, progress: Progress) -> None:
        event, dead_letter = outboxes(self._topics)
        check = PartitionCheck(
            sources=sources,
            snapshot=self._tables,
            fold=self._fold,
            event=event,
            dead_letter=dead_letter,
            topic=self._topics.commands,
            partitions=len(self._log.commands),
            report=self._report,
        )
        await check.run(progress)

    async def _check_rest(self, sources: Sources, chain: Chain) -> None:
        """The watermark, and what was published of later commands than those that the snapshot has."""
        partition = sources.partition
        mark = self._tables.watermarks.get(partition)
        if mark is None:
            self._say(partition, sources.start, "watermark", "the row is missing")
        elif mark.next_offset < sources.start:
            words = f"next_offset is {mark.next_offset}, and the log starts at {sources.start}"
            self._say(partition, mark.next_offset, "watermark", words)
        elif mark.hash != chain.last:
            words = f"the hash is {mark.hash.hex()}, and {chain.last.hex()} is that of the last journal row"
            self._say(partition, mark.next_offset, "watermark", words)
        beyond = self._log.now[partition].next_offset if partition in self._log.now else sources.beyond
        await sources.events.check_rest(beyond)
        await sources.dead_letters.check_rest(beyond)

    def _say(self, partition: int, offset: int, table: str, words: str) -> None:
        self._report(Difference(table, f"{self._topics.commands}/{partition}/{offset}", words))
