"""Publishing again what a dead letter says, when it is a command after all; once, whatever dies in between.

1. read the command, refuse what is none   2. record that a retry is begun   3. publish   4. wait until it is applied,
and record where it is

What dies between 2 and 4 leaves a retry that is begun, and may be in the log or not. The next `retry` finds out: it is
in the journal; or it is there and refused, because it was appended after its deadline; or its deadline has passed, all
that was appended before is applied, and it is not among it. The last two never change anything (decision 10), and an
attempt with another command id takes its place.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata

from replay.captured import LOG_APPEND_TIME
from replay.dead_letters import (
    BEGUN,
    SQL,
    Connection,
    Content,
    DeadLetter,
    RefusedError,
    check_open,
    load_content,
    load_one,
    open_of_id,
)
from replay.outcomes import NotAppliedError, wait_applied
from replay.retried import RETRY_OF, command_of, retried
from schemas.records import Position, encode_command, key_of, sendable
from schemas.topics import partition_of
from schemas.words import Refusal
from service.log_checks import LogIdentity

CLOCK_TOLERANCE: Final = timedelta(seconds=5)
ACKNOWLEDGE_SECONDS: Final = 10.0

_VOID, _RETRIED = "void", "retried"

Say = Callable[[str], None]


class UnknownError(Exception):
    """A retry is begun, and it is not known what becomes of it; the message says what to do."""


@dataclass(frozen=True)
class Begun:
    """A retry that was recorded before it was published. `log_end`: of the partition then; it can not stand before."""

    command_id: str
    deadline: datetime
    partition: int
    log_end: int


@dataclass(frozen=True)
class Retrier:
    """Retries dead letters, one after the other, on connections that are its own for as long as it works."""

    identity: LogIdentity
    connection: Connection
    producer: AIOKafkaProducer
    consumer: AIOKafkaConsumer
    by: str
    reason: str | None
    say: Say

    async def of_id(self, subject_id: str) -> None:
        """All open ones of an id, the oldest first; the first that can not be done ends it, so that none overtakes."""
        letters = await open_of_id(self.connection, subject_id)
        if not letters:
            raise RefusedError(f"no open dead letter is a command for {subject_id}")
        for partition, offset in letters:
            await self._one(await load_one(self.connection, partition, offset))

    async def one(self, partition: int, offset: int) -> None:
        """One, unless an older one of its id is open. Raises RefusedError, UnknownError, and what Postgres raises."""
        letter = await load_one(self.connection, partition, offset)
        check_open(letter)
        command = command_of(await load_content(self.connection, letter))
        first = (await open_of_id(self.connection, command.subject_id))[0]
        if first != (partition, offset):
            raise RefusedError(
                f"partition {first[0]}, offset {first[1]} is an older one of the same id, {command.subject_id}: "
                "retry or discard that one first, or retry all of the id with --id"
            )
        await self._one(letter)

    async def _one(self, letter: DeadLetter) -> None:
        check_open(letter)
        if letter.state == BEGUN and await self._found_out(letter):
            return
        content = await load_content(self.connection, letter)
        begun, record = await self._begin(letter, content)
        offset = await self._publish(record)
        await self._settle(letter, begun, offset)

    async def _begin(self, letter: DeadLetter, content: Content) -> tuple[Begun, dict[str, Any]]:
        """Record the attempt; returns it, and the record to publish."""
        command = command_of(content)
        source = Position(self.identity.commands_topic, letter.partition, letter.offset)
        attempt = await self._attempt(letter)
        fresh = retried(command, self.identity.cluster_id, source, attempt, letter.recorded_at)
        key = key_of(fresh.subject_id)
        home = partition_of(key, self.identity.partitions)
        begun = Begun(fresh.command_id, fresh.deadline, home, await self._log_end(home))
        await self.connection.execute(
            SQL["begin_retry"],
            {
                "partition": letter.partition,
                "offset": letter.offset,
                "attempt": attempt,
                "by": self.by,
                "reason": self.reason,
                "command_id": fresh.command_id,
                "subject_id": fresh.subject_id,
                "deadline": fresh.deadline,
                "retried_partition": home,
                "log_end": begun.log_end,
            },
        )
        headers = [each for each in sendable(content.headers) if each[0] != RETRY_OF]
        return begun, {
            "topic": self.identity.commands_topic,
            "partition": home,
            "key": key,
            "value": encode_command(fresh),
            "headers": [*headers, (RETRY_OF, str(source).encode())],
        }

    async def _attempt(self, letter: DeadLetter) -> int:
        asked = {"partition": letter.partition, "offset": letter.offset}
        row = await (await self.connection.execute(SQL["attempts"], asked)).fetchone()
        return int(row[0]) + 1 if row else 1

    async def _publish(self, record: dict[str, Any]) -> int:
        """The offset. Raises UnknownError: what was begun may be in the log."""
        try:
            async with asyncio.timeout(ACKNOWLEDGE_SECONDS):
                found: RecordMetadata = await asyncio.shield(await self.producer.send(**record))
        except (TimeoutError, KafkaError) as error:
            raise UnknownError(
                f"Kafka did not acknowledge it ({type(error).__name__}): `retry` again finds out"
            ) from error
        if found.offset < 0 or found.timestamp_type != LOG_APPEND_TIME:
            raise UnknownError("Kafka had it twice and does not say where: `retry` again finds out")
        return int(found.offset)

    async def _end(self, begun: Begun, state: str, offset: int | None) -> None:
        asked = {"command_id": begun.command_id, "state": state, "retried_offset": offset}
        await self.connection.execute(SQL["end_retry"], asked)

    async def _settle(self, letter: DeadLetter, begun: Begun, offset: int) -> None:
        """Wait until it was applied, record that, and say what came of it."""
        place = Position(self.identity.commands_topic, begun.partition, offset)
        try:
            await wait_applied(self.connection, {begun.partition: (offset, offset)})
        except NotAppliedError as error:
            raise UnknownError(
                f"{letter.partition}/{letter.offset} is published as {place}, and not applied yet: {error}. "
                "`retry` again finds out"
            ) from error
        found = await self._look(begun, offset, offset + 1)
        if found is None:
            raise UnknownError(f"{place} is another command in the journal: the tables are another log's")
        if found.is_void:
            await self._end(begun, _VOID, offset)
            raise RefusedError(f"{place} came after its deadline and changed nothing: retry it again")
        await self._end(begun, _RETRIED, offset)
        self.say(f"{letter.partition}/{letter.offset} is published as {place}: {found.words}")

    async def _found_out(self, letter: DeadLetter) -> bool:
        """Whether the retry that was begun is in the log; if not, or too late to count, it is void for ever."""
        begun = await self._load_begun(letter)
        over = begun.deadline + CLOCK_TOLERANCE
        wait_seconds = (over - datetime.now(UTC)).total_seconds()
        if wait_seconds > 0:
            self.say(f"a retry was begun, and its deadline is not over: waiting for {wait_seconds:.0f} s")
            await asyncio.sleep(wait_seconds)
        end = await self._log_end(begun.partition, over)
        try:
            await wait_applied(self.connection, {begun.partition: (begun.log_end, end - 1)})
        except NotAppliedError as error:
            raise UnknownError(f"a retry was begun, and whether it is in the log shows later: {error}") from error
        found = await self._look(begun, begun.log_end, end)
        if found is None or found.is_void:
            await self._end(begun, _VOID, found.offset if found else None)
            self.say(f"{letter.partition}/{letter.offset}: the retry that was begun changed nothing and never will")
            return False
        await self._end(begun, _RETRIED, found.offset)
        place = Position(self.identity.commands_topic, begun.partition, found.offset)
        self.say(f"{letter.partition}/{letter.offset} was published before as {place}: {found.words}")
        return True

    async def _load_begun(self, letter: DeadLetter) -> Begun:
        asked = {"partition": letter.partition, "offset": letter.offset}
        row = await (await self.connection.execute(SQL["begun_retry"], asked)).fetchone()
        if row is None:
            raise RefusedError("somebody else has just handled it")
        return Begun(*row)

    async def _look(self, begun: Begun, first: int, end: int) -> "_Found | None":
        """What the journal has of a retry between two offsets of its partition."""
        asked = {"partition": begun.partition, "first": first, "end": end, "command_id": begun.command_id}
        row = await (await self.connection.execute(SQL["find_retried"], asked)).fetchone()
        return _Found(*row) if row else None

    async def _log_end(self, partition: int, at: datetime | None = None) -> int:
        """Where the partition ends, or ended at an instant."""
        where = TopicPartition(self.identity.commands_topic, partition)
        if at is not None:
            found = await self.consumer.offsets_for_times({where: round(at.timestamp() * 1000)})
            if found[where] is not None:
                return int(found[where].offset)
        return int((await self.consumer.end_offsets([where]))[where])


@dataclass(frozen=True)
class _Found:
    offset: int
    outcome: str
    reason: str | None

    @property
    def is_void(self) -> bool:
        return self.reason == Refusal.EXPIRED

    @property
    def words(self) -> str:
        return " ".join(filter(None, (self.outcome, self.reason)))
