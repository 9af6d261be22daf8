"""`allocations rebuild`: fills the tables from commands and events (decision 15).

1. keep everybody else away   2. with a checkpoint, an empty database gets its rows   3. each partition up to its last
event: outcome and facts are the event's   4. what is behind the last events is decided again, in log order   5. only
then the database says which log it is the state of

Every part is one transaction with its positions, guarded as a processor's are: a rebuild that was killed goes on where
it stood when it is started again.
"""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from aiokafka import AIOKafkaConsumer

from processor.domain.journal import JournalRow
from processor.domain.policy import Policy
from proof.checkpoint.checks import Starts, check_log, read_whole
from proof.log.progress import Progress
from proof.log.snapshot import watermarks
from proof.log.streams import Bounds, bounds, open_stream
from proof.rebuild import preconditions
from proof.rebuild.partition import Refill
from proof.rebuild.undecided import decide_rest
from proof.verify.differences import Report
from proof.verify.published import NONE_YET, Publications
from schemas.topics import Topics
from service.errors import OperatorError
from service.kafka import consuming, last_sources
from service.postgres import KEYED, Connection, connect
from service.settings import ServiceSettings


@dataclass
class Rebuilt:
    """How many commands went which way; `unfilled`: gaps in accounts that none of them fits in."""

    by_events: int
    anew: int
    unfilled: list[str]


async def rebuild(
    settings: ServiceSettings,
    policy: Policy,
    say: Report,
    list_anew: Callable[[JournalRow], None],
    progress: Progress,
    *,
    resume: bool,
    file: Path | None = None,
) -> Rebuilt:
    """Fill the tables, from the file of a checkpoint on if there is one.

    `list_anew` is told each decision that depends on the settings and balances of today.

    Raises OperatorError, with a sentence that says what stands in the way; and what `is_passing` knows.
    """
    topics = settings.topics
    async with AsyncExitStack() as stack:
        connection = await connect(settings, "allocations-rebuild", KEYED)
        stack.push_async_callback(connection.close)
        await preconditions.keep_others_away(connection)
        identity = await preconditions.identify(settings, connection)
        checkpoint = read_whole(file, identity, progress) if file else None
        consumers = await stack.enter_async_context(consuming(settings))
        commands, events = consumers.commands, consumers.published
        log = await bounds(commands, topics.commands, range(identity.partitions))
        published = await bounds(events, topics.events, log)
        if checkpoint:
            check_log(checkpoint, topics, log, published, await bounds(events, topics.dead_letters, log))
        await preconditions.begin(settings, connection, consumers, log, checkpoint, file, progress, resume=resume)
        ends = {partition: end for partition, (_, end) in log.items()}
        decided = await _decided(events, topics, ends)
        begun = checkpoint.marks if checkpoint else {}
        by_events = await _by_events(topics, connection, commands, events, decided, published, begun, say, progress)
        anew, unfilled = await decide_rest(settings, connection, commands, policy, ends, file, list_anew, progress)
        await preconditions.end(connection, identity)
    return Rebuilt(by_events, anew, unfilled)


async def _decided(events: AIOKafkaConsumer, topics: Topics, ends: Mapping[int, int]) -> dict[int, int]:
    """The offset behind the last command of each partition that has an event."""
    decided = dict.fromkeys(ends, 0)
    for partition, source in (await last_sources(events, topics.events, "ce_id", ends)).items():
        if (source.topic, source.partition) != (topics.commands, partition):
            raise OperatorError(
                f"the last event in {topics.events}/{partition} is of {source}, which is another log: point the "
                "settings at the topics that belong together"
            )
        if source.offset >= ends[partition]:
            raise OperatorError(
                f"{topics.events}/{partition} has the event of {source}, and the log ends before that: it was "
                "shortened or created again. Restore the topic first"
            )
        decided[partition] = source.offset + 1
    return decided


async def _by_events(
    topics: Topics,
    connection: Connection,
    commands: AIOKafkaConsumer,
    events: AIOKafkaConsumer,
    decided: Mapping[int, int],
    published: Bounds,
    begun: Starts,
    say: Report,
    progress: Progress,
) -> int:
    """Fill each partition up to its last event; returns the number of commands."""
    starts = {partition: mark.next_offset for partition, mark in (await watermarks(connection)).items()}
    missing = {each: (starts[each], beyond) for each, beyond in decided.items() if starts[each] < beyond}
    count = sum(beyond - start for start, beyond in missing.values())
    progress.phase("by events", count)
    for partition, (start, beyond) in missing.items():
        records = open_stream(commands, topics.commands, partition, start, beyond)
        first, end = published[partition]
        mark = begun.get(partition)
        found = open_stream(events, topics.events, partition, max(first, mark.events if mark else 0), end)
        after = mark.next_offset - 1 if mark else NONE_YET
        publications = Publications(found, topics.events, topics.commands, "ce_id", say, after)
        await publications.skip(start)
        refill = Refill(connection, topics, partition, len(decided), records, publications)
        await refill.run(start, beyond, progress)
    return count
