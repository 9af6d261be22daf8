"""The capture file, version 1 (docs/replay.md has it for readers in other languages).

The blocks are those of `replay/blocks.py`, behind "ALLOCREC" and one byte, 1. One H with a JSON object that says where
the records come from, then R's with records, about 1 MiB each, then one E with a JSON object that says how many.
"""

import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, NonNegativeInt, PositiveInt, ValidationError

from replay.blocks import BLOCK_BYTES, BlockReader, BlockWriter, DamagedError, whole_file
from replay.captured import RECORD_MAX_BYTES, Captured, MalformedError, decode_records, encode_record

MAGIC: Final = b"ALLOCREC"
VERSION: Final = 1
BLOCK_MAX_BYTES: Final = RECORD_MAX_BYTES + BLOCK_BYTES

_HEADER, _RECORDS, _END = b"H", b"R", b"E"


class CaptureFileError(Exception):
    """The file is no capture, or not the one that was written; the message is a sentence."""


class Source(BaseModel):
    """Where the records come from. `ranges`: by partition, the first offset and the one after the last."""

    model_config = ConfigDict(frozen=True)

    cluster_id: str
    topic: str
    holds: Literal["commands", "events", "dead-letters"]
    partitions: PositiveInt
    captured_at: AwareDatetime
    ranges: dict[int, tuple[NonNegativeInt, NonNegativeInt]]


class _End(BaseModel):
    records: NonNegativeInt


class CaptureWriter:
    """Writes one capture; without `finish` no reader takes it for a whole one."""

    def __init__(self, file: BinaryIO, source: Source) -> None:
        self._blocks = BlockWriter(file, MAGIC, VERSION)
        self._raw = bytearray()
        self.counts: Counter[int] = Counter()
        self._blocks.write(_HEADER, source.model_dump_json().encode())

    def add(self, record: Captured) -> None:
        self._raw += encode_record(record)
        self.counts[record.partition] += 1
        if len(self._raw) >= BLOCK_BYTES:
            self._flush()

    def finish(self) -> None:
        self._flush()
        self._blocks.write(_END, _End(records=self.counts.total()).model_dump_json().encode())

    def _flush(self) -> None:
        if self._raw:
            self._blocks.write(_RECORDS, bytes(self._raw))
            self._raw.clear()


@contextlib.contextmanager
def writing(path: Path, source: Source) -> Iterator[CaptureWriter]:
    """A capture that has its name when it is complete, and not before."""
    with whole_file(path) as file:
        writer = CaptureWriter(file, source)
        yield writer
        writer.finish()


class CaptureReader:
    """Reads one capture from its beginning. Iterating returns the records and checks everything on the way.

    Raises CaptureFileError at the first byte that is not as it was written.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self.read = 0
        start = file.read(len(MAGIC) + 1)
        self._check_start(start)
        self._blocks = BlockReader(file, start, BLOCK_MAX_BYTES)
        kind, content = self._read_block()
        if kind != _HEADER:
            raise self._error("does not begin with its source")
        try:
            self.source = Source.model_validate_json(content)
        except ValidationError as error:
            raise self._error("says of its source what this version does not understand") from error

    @property
    def position_bytes(self) -> int:
        return self._file.tell()

    def __iter__(self) -> Iterator[Captured]:
        while True:
            kind, content = self._read_block()
            if kind == _END:
                self._check_end(content)
                return
            if kind != _RECORDS:
                raise self._error("has a block of a kind that this version does not know")
            try:
                for record in decode_records(content):
                    self.read += 1
                    yield record
            except MalformedError as error:
                raise self._error(f"has a block without records in it ({error})") from error

    def _check_start(self, start: bytes) -> None:
        if not start.startswith(MAGIC):
            raise CaptureFileError(f"{self._name} is no capture: name a file that `allocations capture` has written")
        if start[len(MAGIC) :] != bytes([VERSION]):
            raise CaptureFileError(
                f"{self._name} is a capture of another version than {VERSION}: read it with the version that wrote it"
            )

    def _read_block(self) -> tuple[bytes, bytes]:
        try:
            return self._blocks.read()
        except DamagedError as error:
            raise self._error(str(error)) from error

    def _check_end(self, content: bytes) -> None:
        try:
            records = _End.model_validate_json(content).records
        except ValidationError as error:
            raise self._error("has an end that does not say how many records there are") from error
        if records != self.read:
            raise self._error("says of its end another number of records")
        try:
            self._blocks.check_end()
        except DamagedError as error:
            raise self._error(str(error)) from error

    def _error(self, what: str) -> CaptureFileError:
        return CaptureFileError(f"{self._name} {what}, after {self.read} good records: copy or capture it again")


@contextlib.contextmanager
def reading(path: Path) -> Iterator[CaptureReader]:
    """Raises CaptureFileError or OSError."""
    with path.open("rb") as file:
        yield CaptureReader(file, str(path))
