"""Publishing a capture to a commands topic: in the order of the file, acknowledged, a bounded number in flight.

One idempotent producer keeps the order within each partition, and so of each id. Where a re-issue is possible, a
command waits until the record of its id before it is acknowledged: `times` must know when that one was appended.
"""

import asyncio
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError
from aiokafka.structs import RecordMetadata

from replay.capture_file import CaptureFileError, Source, reading
from replay.captured import LOG_APPEND_TIME, Captured
from replay.pace import Due
from replay.plan import command_of
from replay.producer import producing
from replay.rewrite import Rewriter
from replay.times import Times
from schemas.commands import Command
from schemas.records import Position, encode_command, key_of, sendable
from schemas.topics import partition_of
from service.settings import ServiceSettings

REPLAYED_FROM: Final = "replayed-from"
"""The header that names the place of the captured record."""
IN_FLIGHT: Final = 1_000
UNACKNOWLEDGED_SECONDS: Final = 30.0
APART_SECONDS: Final = 0.001

Acknowledgement = asyncio.Future[RecordMetadata]


class NotAcknowledgedError(Exception):
    """A record is not in the log, or nobody can say that it is."""


@dataclass(frozen=True)
class Target:
    """Where to: a cluster's commands topic and its number of partitions, by which keys find theirs."""

    cluster_id: str
    topic: str
    partitions: int


@dataclass(frozen=True)
class Orders:
    """How to: `due` says when, `rewriter` under which ids, `keep_undecodable` whether what is no command goes too."""

    due: Due
    rewriter: Rewriter | None = None
    keep_undecodable: bool = False
    in_flight: int = IN_FLIGHT


@dataclass
class Loaded:
    """What came of it. `ends`: by partition of the target, the first and the last offset that was acknowledged."""

    sent: int = 0
    acknowledged: int = 0
    skipped: int = 0
    seconds: float = 0.0
    failure: str = ""
    ends: dict[int, tuple[int, int]] = field(default_factory=dict)

    @property
    def unacknowledged(self) -> int:
        return self.sent - self.acknowledged


class Load:
    """One run of one file. `loaded` is true at any moment, also after an interruption."""

    def __init__(self, target: Target, source: Source, orders: Orders) -> None:
        self._target = target
        self._source = source
        self._orders = orders
        self._times = Times()
        self._unacknowledged: set[Acknowledgement] = set()
        self._latest: dict[str, Acknowledgement] = {}
        self._error: BaseException | None = None
        self.loaded = Loaded()

    async def run(self, settings: ServiceSettings, path: Path, report: Callable[[int], None]) -> None:
        """Publish the file, which was read before and found good. Stops at the first failure; `loaded` has it."""
        started = time.monotonic()
        try:
            async with producing(settings) as producer:
                with reading(path) as reader:
                    for number, record in enumerate(reader):
                        await self._wait_until_due(started, number, record)
                        await self._publish(producer, record)
                        report(1)
                await self._acknowledged(self._unacknowledged, asyncio.ALL_COMPLETED)
                self._check()
        except (NotAcknowledgedError, CaptureFileError) as error:
            self.loaded.failure = str(error)
        finally:
            self.loaded.seconds = time.monotonic() - started

    async def _wait_until_due(self, started: float, number: int, record: Captured) -> None:
        ahead = started + self._orders.due(number, record.timestamp_ms) - time.monotonic()
        await asyncio.sleep(max(0.0, ahead))

    async def _publish(self, producer: AIOKafkaProducer, record: Captured) -> None:
        command = command_of(record, self._source)
        if not isinstance(command, Command):
            if self._orders.keep_undecodable:
                await self._send(producer, record, self._as_it_is(record))
            else:
                self.loaded.skipped += 1
            return
        if self._times.count(command) and (earlier := self._latest.get(command.subject_id)):
            await self._acknowledged({earlier}, asyncio.ALL_COMPLETED)
            await asyncio.sleep(APART_SECONDS)
        acknowledgement = await self._send(producer, record, self._changed(record, command))
        self._remember(command, record, acknowledgement)

    async def _send(self, producer: AIOKafkaProducer, record: Captured, changed: dict[str, Any]) -> Acknowledgement:
        while len(self._unacknowledged) >= self._orders.in_flight:
            await self._acknowledged(self._unacknowledged, asyncio.FIRST_COMPLETED)
        self._check()
        self.loaded.sent += 1
        headers = [each for each in sendable(changed.pop("headers")) if each[0] != REPLAYED_FROM]
        place = Position(self._source.topic, record.partition, record.offset)
        changed["headers"] = [*headers, (REPLAYED_FROM, str(place).encode())]
        try:
            acknowledgement = await self._hand_over(producer, changed)
        except KafkaError as error:
            raise NotAcknowledgedError(f"{place} was not published: {_words(error)}") from error
        self._unacknowledged.add(acknowledgement)
        acknowledgement.add_done_callback(self._note)
        return acknowledgement

    async def _hand_over(self, producer: AIOKafkaProducer, changed: dict[str, Any]) -> Acknowledgement:
        """While the producer has no room for it, an acknowledgement is waited for."""
        while True:
            try:
                acknowledgement: Acknowledgement = await producer.send(self._target.topic, **changed)
            except KafkaTimeoutError:
                if not self._unacknowledged:
                    raise
                await self._acknowledged(self._unacknowledged, asyncio.FIRST_COMPLETED)
            else:
                return acknowledgement

    def _changed(self, record: Captured, command: Command) -> dict[str, Any]:
        rewriter = self._orders.rewriter
        fresh = self._times.shift(command, record.recorded_at, datetime.now(UTC))
        if rewriter is not None:
            fresh = rewriter.command(fresh)
        key = key_of(fresh.subject_id)
        return {
            "key": key,
            "value": encode_command(fresh),
            "headers": rewriter.headers(command, record.headers) if rewriter else record.headers,
            "partition": partition_of(key, self._target.partitions),
        }

    def _as_it_is(self, record: Captured) -> dict[str, Any]:
        partition = record.partition % self._target.partitions
        return {"key": record.key, "value": record.value, "headers": record.headers, "partition": partition}

    def _note(self, acknowledgement: Acknowledgement) -> None:
        """A broker that had a record already acknowledges it too, without saying where it is."""
        self._unacknowledged.discard(acknowledgement)
        if acknowledgement.cancelled():
            return
        if error := acknowledgement.exception():
            self._error = self._error or error
            return
        self.loaded.acknowledged += 1
        found = acknowledgement.result()
        if found.offset >= 0 and found.timestamp_type == LOG_APPEND_TIME:
            first, last = self.loaded.ends.get(found.partition, (found.offset, found.offset))
            self.loaded.ends[found.partition] = (min(first, found.offset), max(last, found.offset))

    def _remember(self, command: Command, record: Captured, acknowledgement: Acknowledgement) -> None:
        subject_id = command.subject_id
        self._latest[subject_id] = acknowledgement

        def appended(_: Acknowledgement) -> None:
            if self._latest[subject_id] is acknowledgement:
                del self._latest[subject_id]
            self._times.appended(subject_id, record.recorded_at, _appended_at(acknowledgement))

        acknowledgement.add_done_callback(appended)

    async def _acknowledged(self, waited: AbstractSet[Acknowledgement], until: str) -> None:
        """Raises NotAcknowledgedError when any record fails, or half a minute brings no acknowledgement."""
        while waited:
            done, waited = await asyncio.wait(waited, timeout=UNACKNOWLEDGED_SECONDS, return_when=until)
            if not done:
                raise NotAcknowledgedError(f"Kafka has acknowledged nothing for {UNACKNOWLEDGED_SECONDS:.0f} s")
            if until == asyncio.FIRST_COMPLETED:
                return

    def _check(self) -> None:
        if self._error is not None:
            raise NotAcknowledgedError(f"a record was not acknowledged: {_words(self._error)}") from self._error


def _appended_at(acknowledgement: Acknowledgement) -> datetime:
    """When the broker appended it; our own clock where it does not say."""
    if acknowledgement.cancelled() or acknowledgement.exception() is not None:
        return datetime.now(UTC)
    found = acknowledgement.result()
    if found.timestamp_type != LOG_APPEND_TIME:
        return datetime.now(UTC)
    return datetime.fromtimestamp(found.timestamp / 1000, UTC)


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
