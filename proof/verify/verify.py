"""`allocations verify`: compares the tables with what follows from the log (decision 15).

Each partition's log is decided again in order, with the recorded facts; then every row of what is no history is
compared with the result. The order of the reads matters while others write: first a snapshot of the tables, then the
ends of what was published, then the current watermarks, then the ends of the log, so that progress is never taken for
a difference.
"""

from collections.abc import Mapping
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from aiokafka import AIOKafkaConsumer

from processor.domain.rows import Watermark
from proof.checkpoint.checks import PRUNED, Starts, beginning, check_log, check_tables, read_whole
from proof.checkpoint.file import BlockKind, Checkpoint, reading
from proof.log.log_identity import known_log
from proof.log.progress import Progress
from proof.log.snapshot import Snapshot, snapshot, watermarks
from proof.log.streams import Bounds, bounds, open_stream
from proof.log.subject_tables import ADJUSTMENTS, ALLOCATIONS, CONNECTIONS
from proof.verify.accounts import check_accounts
from proof.verify.chain import Chain, Heads
from proof.verify.connection_reads import check_reads
from proof.verify.differences import Difference, Report
from proof.verify.fold import Fold
from proof.verify.kept import KeptRows
from proof.verify.partition import PartitionCheck, Sources
from proof.verify.platform_accounts import check_platform_accounts
from proof.verify.published import Publications
from proof.verify.subjects import check_subjects
from proof.verify.usage import check_usages
from schemas.topics import Topics
from service.errors import OperatorError
from service.kafka import commands_reader, read_at, reader
from service.postgres import connect
from service.settings import ServiceSettings


@dataclass
class Verified:
    """What was looked at, and what is no difference but good to know."""

    partitions: int = 0
    commands: int = 0
    allocations: int = 0
    accounts: int = 0
    connections: int = 0
    adjustments: int = 0
    not_applied: int = 0
    not_published: int = 0
    heads_before: int = 0
    """Noted heads before the checkpoint, of which nothing can be said."""


@dataclass(frozen=True)
class _Log:
    """What there is to read, by partition, and where the journal ends by now."""

    commands: Bounds
    events: Bounds
    dead_letters: Bounds
    now: Mapping[int, Watermark]


async def verify(
    settings: ServiceSettings, heads: Heads, report: Report, progress: Progress, file: Path | None = None
) -> Verified:
    """Compare everything; with the file of a checkpoint, everything since.

    Raises OperatorError when there is nothing to compare, and what `is_passing` knows when Kafka or Postgres is away.
    """
    identity = await known_log(settings, "allocations-verify")
    checkpoint = read_whole(file, identity, progress) if file else None
    async with AsyncExitStack() as stack:
        fold = stack.enter_context(closing(Fold()))
        tables = await stack.enter_async_context(snapshot(settings, "allocations-verify"))
        levels = commands_reader(settings), reader(settings), reader(settings)
        consumers = [await stack.enter_async_context(each) for each in levels]
        log = await _look(settings, consumers[0], consumers[1], identity.partitions)
        starts = await _starts(checkpoint, settings.topics, log, tables)
        if file:
            topic = settings.topics.commands
            records = await read_at(consumers[0], topic, _lasts(starts, log.commands))
            kept = KeptRows(topic, tables, await tables.pruned(), records, report)
            await _begin_with(file, fold, kept, progress)
        verified = Verified(identity.partitions)
        verification = _Verification(settings.topics, tables, log, starts, fold, consumers, report)
        await verification.run(heads, verified, progress)
        verified.allocations = await check_subjects(ALLOCATIONS, fold, tables, report, progress)
        verified.connections = await check_subjects(CONNECTIONS, fold, tables, report, progress)
        verified.adjustments = await check_subjects(ADJUSTMENTS, fold, tables, report, progress)
        await check_platform_accounts(fold, tables, report)
        check_reads(fold, report)
        firsts = {partition: mark.next_offset for partition, mark in starts.items()} if checkpoint else {}
        verified.accounts = await check_accounts(fold, tables, firsts, report)
        await check_usages(fold.usages, tables, report)
    return verified


def _lasts(starts: Starts, commands: Bounds) -> dict[int, int]:
    """By partition, the offset of a checkpoint's last record, where the log still has it."""
    return {
        partition: mark.last
        for partition, mark in starts.items()
        if mark.last is not None and mark.last >= commands[partition][0]
    }


async def _begin_with(file: Path, fold: Fold, kept: KeptRows, progress: Progress) -> None:
    """Let the fold know what is in the file, and compare the rows that are only kept."""
    with reading(file, progress) as checkpoint:
        for part, rows in checkpoint:
            fold.begin_with(part, rows)
            for row in rows if part is BlockKind.KEPT else ():
                await kept.check(row)


async def _starts(checkpoint: Checkpoint | None, topics: Topics, log: _Log, tables: Snapshot) -> Starts:
    """Raises OperatorError when log and tables have not all that is to be compared."""
    gone = await tables.pruned()
    if checkpoint:
        check_log(checkpoint, topics, log.commands, log.events, log.dead_letters)
        check_tables(checkpoint, tables.watermarks, gone)
        return checkpoint.marks
    starts = beginning(log.commands, log.events, log.dead_letters)
    if gone or await tables.begins_before({partition: mark.next_offset for partition, mark in starts.items()}):
        raise OperatorError(PRUNED)
    return starts


async def _look(
    settings: ServiceSettings, commands: AIOKafkaConsumer, published: AIOKafkaConsumer, partitions: int
) -> _Log:
    topics, numbers = settings.topics, range(partitions)
    events = await bounds(published, topics.events, numbers)
    dead_letters = await bounds(published, topics.dead_letters, numbers)
    async with await connect(settings, "allocations-verify") as connection:
        now = await watermarks(connection)
    return _Log(await bounds(commands, topics.commands, numbers), events, dead_letters, now)


class _Verification:
    """All partitions, one after the other."""

    def __init__(
        self,
        topics: Topics,
        tables: Snapshot,
        log: _Log,
        starts: Starts,
        fold: Fold,
        consumers: list[AIOKafkaConsumer],
        report: Report,
    ) -> None:
        self._topics = topics
        self._tables = tables
        self._log = log
        self._starts = starts
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
            mark = self._starts[partition]
            chain = Chain(self._topics.commands, partition, mark, heads.get(partition, ()), self._report)
            verified.heads_before += len(chain.unknown)
            sources = self._open(partition, start, beyond, chain)
            await self._check(sources, progress)
            await self._check_rest(sources, chain)
            verified.not_applied += max(0, self._log.commands[partition][1] - beyond)
            verified.not_published += sources.events.not_yet + sources.dead_letters.not_yet
        known = {partition: (self._first_known(partition), beyond) for partition, (_, beyond) in covered.items()}
        async for name, partition, offset in self._tables.outside(known):
            self._say(partition, offset, name, "the log has no place for this row")

    def _covered(self, partition: int) -> tuple[int, int]:
        """The offsets that the journal must have."""
        start = self._starts[partition].next_offset
        mark = self._tables.watermarks.get(partition)
        return start, max(start, mark.next_offset) if mark else start

    def _first_known(self, partition: int) -> int:
        """Rows before a checkpoint may be there, or be pruned."""
        mark = self._starts[partition]
        return mark.next_offset if mark.last is None else 0

    def _open(self, partition: int, start: int, beyond: int, chain: Chain) -> Sources:
        topics, report = self._topics, self._report
        commands, events, dead_letters = self._consumers
        end = min(beyond, self._log.commands[partition][1])
        mark = self._starts[partition]
        published = open_stream(events, topics.events, partition, *_from(mark.events, self._log.events[partition]))
        letters = open_stream(
            dead_letters, topics.dead_letters, partition, *_from(mark.dead_letters, self._log.dead_letters[partition])
        )
        return Sources(
            partition,
            start,
            beyond,
            open_stream(commands, topics.commands, partition, start, end),
            Publications(published, topics.events, topics.commands, "ce_id", report, start - 1),
            Publications(letters, topics.dead_letters, topics.commands, "dead-letter-position", report, start - 1),
            chain,
        )

    async def _check(self, sources: Sources, progress: Progress) -> None:
        check = PartitionCheck(
            sources=sources,
            snapshot=self._tables,
            fold=self._fold,
            topics=self._topics,
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


def _from(first: int, bounds: tuple[int, int]) -> tuple[int, int]:
    """What there is from an offset on."""
    return max(first, bounds[0]), bounds[1]
