"""Checks what the relay published of a partition: each record once, in journal order (decision 16)."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from proof.log.streams import Published, Stream
from proof.verify.differences import Difference, Report, columns_differ
from schemas.records import Position, position_of

NONE_YET: Final = -1


class Publications:
    """The records of one partition of the events topic, or of the dead letters, by the offset of their command.

    The stream begins behind those of commands up to `after`.
    """

    def __init__(
        self, stream: Stream, topic: str, commands: str, header: str, report: Report, after: int = NONE_YET
    ) -> None:
        self._stream = stream
        self._topic = topic
        self._commands = commands
        self._header = header
        self._report = report
        self._last = after
        self._beyond = False
        self.not_yet = 0
        """How many are still to be published."""

    async def before(self, offset: int) -> dict[int, Published]:
        """What was published of the commands before an offset and was not asked for before."""
        found: dict[int, Published] = {}
        async for record in self._until(offset):
            found[self._last] = record
        return found

    async def skip(self, offset: int) -> None:
        """Pass over what was published of the commands before an offset."""
        async for _ in self._until(offset):
            pass

    async def _until(self, offset: int) -> AsyncIterator[Published]:
        while (record := await self._stream.head()) is not None:
            source = position_of(record.headers, self._header)
            if source is not None and source.offset >= offset:
                break
            self._stream.take()
            if self._is_next(record, source):
                yield record
        self._beyond = record is not None

    async def check_rest(self, beyond: int) -> None:
        """What is left may be of commands that were applied since, which end at `beyond`."""
        while (record := await self._stream.head()) is not None:
            self._stream.take()
            if self._is_next(record, position_of(record.headers, self._header)) and self._last >= beyond:
                self._say(record, f"is of {self._position(self._last, record)}, which the journal does not have")

    def check(self, offset: int, record: Published | None, *expected: Mapping[str, Any]) -> None:
        """Compare the record of one command with the arguments of `send` that it may have been made with."""
        if not expected:
            if record is not None:
                self._say(record, f"is of {self._position(offset, record)}, of which nothing is to be published")
        elif record is not None:
            differences = [record_differs(record, each) for each in expected]
            if all(differences):
                self._say(record, differences[0])
        elif self._beyond or self._last > offset:
            position = Position(self._commands, expected[0]["partition"], offset)
            words = "was not published, and later ones were"
            self._report(Difference(self._topic, str(position), words, _of(expected[0]["key"])))
        else:
            self.not_yet += 1

    def _is_next(self, record: Published, source: Position | None) -> bool:
        """Whether it stands in order, once; says so when not."""
        if source is None or (source.topic, source.partition) != (self._commands, record.partition):
            self._say(record, "is not from this log")
            return False
        if source.offset <= self._last:
            self._say(record, f"is of {source}, and stands behind that of {self._position(self._last, record)}")
            return False
        self._last = source.offset
        return True

    def _position(self, offset: int, record: Published) -> Position:
        return Position(self._commands, record.partition, offset)

    def _say(self, record: Published, words: str) -> None:
        key = f"{record.partition}/{record.offset}"
        self._report(Difference(self._topic, key, words, _of(record.key)))


def record_differs(record: Published, expected: Mapping[str, Any]) -> str:
    """How a record differs from the arguments of `send` that should have made it; empty when it does not."""
    made = (expected["key"], expected["value"], expected["headers"])
    if (record.key, record.value, _headers(record)) == made:
        return ""
    found = {"key": record.key, "value": _document(record.value)} | dict(_headers(record))
    should = {"key": made[0], "value": _document(made[1])} | dict(made[2])
    return columns_differ(found, should) or "it has other headers than those that follow from the log"


def _headers(record: Published) -> list[tuple[str, bytes]]:
    return list(record.headers or ())


def _document(value: bytes | None) -> Any:
    """An event's document; anything else as it is."""
    try:
        document = json.loads(value or b"")
    except ValueError:
        return value
    return document if isinstance(document, dict) else value


def _of(key: bytes | None) -> str | None:
    return f"key {_text(key)}" if key else None


def _text(value: bytes | None) -> str:
    return value.decode("utf-8", "backslashreplace") if value is not None else ""
