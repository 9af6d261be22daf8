"""The capture file, version 1 (docs/replay.md has it for readers in other languages).

    file   = "ALLOCREC" version block*          version: one byte, 1
    block  = kind stored raw body digest        kind: H, R or E; stored, raw: lengths, 4 bytes each, big-endian
    body   = zlib(content)                      `stored` bytes, `raw` after decompression
    digest = SHA-256(digest before it, kind stored raw body)

One H with a JSON object that says where the records come from, then R's with records, about 1 MiB each, then one E
with a JSON object that says how many there were. The digests are a chain that starts at SHA-256 of the file's first
nine bytes, so a change, a swap or a cut shows at the block where it is, and the end can not be missed.
Written and read as a stream: one block is in memory.
"""

import contextlib
import hashlib
import os
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, NonNegativeInt, PositiveInt, ValidationError

from replay.captured import RECORD_MAX_BYTES, Captured, MalformedError, decode_records, encode_record

MAGIC: Final = b"ALLOCREC"
VERSION: Final = 1
BLOCK_BYTES: Final = 1024 * 1024
BLOCK_MAX_BYTES: Final = RECORD_MAX_BYTES + BLOCK_BYTES

_HEAD: Final = struct.Struct(">cII")
_HEADER, _RECORDS, _END = b"H", b"R", b"E"
_DIGEST_BYTES: Final = hashlib.sha256().digest_size


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
        self._file = file
        self._raw = bytearray()
        self.counts: Counter[int] = Counter()
        start = MAGIC + bytes([VERSION])
        self._digest = hashlib.sha256(start).digest()
        file.write(start)
        self._write_block(_HEADER, source.model_dump_json().encode())

    def add(self, record: Captured) -> None:
        self._raw += encode_record(record)
        self.counts[record.partition] += 1
        if len(self._raw) >= BLOCK_BYTES:
            self._flush()

    def finish(self) -> None:
        self._flush()
        self._write_block(_END, _End(records=self.counts.total()).model_dump_json().encode())

    def _flush(self) -> None:
        if self._raw:
            self._write_block(_RECORDS, bytes(self._raw))
            self._raw.clear()

    def _write_block(self, kind: bytes, content: bytes) -> None:
        body = zlib.compress(content)
        head = _HEAD.pack(kind, len(body), len(content))
        self._digest = hashlib.sha256(self._digest + head + body).digest()
        self._file.write(head + body + self._digest)


@contextlib.contextmanager
def writing(path: Path, source: Source) -> Iterator[CaptureWriter]:
    """A file that has its name when it is complete, and not before: whatever ends the writing leaves all or nothing."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with unfinished.open("xb") as file:
            writer = CaptureWriter(file, source)
            yield writer
            writer.finish()
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)


class CaptureReader:
    """Reads one capture from its beginning. Iterating gives the records and checks everything on the way.

    Raises CaptureFileError at the first byte that is not as it was written.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self.read = 0
        start = file.read(len(MAGIC) + 1)
        self._check_start(start)
        self._digest = hashlib.sha256(start).digest()
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
        head = self._exactly(_HEAD.size)
        kind, stored, raw = _HEAD.unpack(head)
        if max(stored, raw) > BLOCK_MAX_BYTES:
            raise self._error("is damaged")
        body = self._exactly(stored)
        digest = hashlib.sha256(self._digest + head + body).digest()
        if self._exactly(_DIGEST_BYTES) != digest:
            raise self._error("is damaged")
        self._digest = digest
        return kind, self._decompressed(body, raw)

    def _decompressed(self, body: bytes, raw: int) -> bytes:
        inflater = zlib.decompressobj()
        try:
            content = inflater.decompress(body, raw + 1)
        except zlib.error as error:
            raise self._error(f"has a block that can not be decompressed ({error})") from error
        if len(content) != raw or not inflater.eof:
            raise self._error("has a block of another length than it says")
        return content

    def _exactly(self, count: int) -> bytes:
        found = self._file.read(count)
        if len(found) < count:
            raise self._error("is cut off")
        return found

    def _check_end(self, content: bytes) -> None:
        try:
            records = _End.model_validate_json(content).records
        except ValidationError as error:
            raise self._error("has an end that does not say how many records there are") from error
        if records != self.read:
            raise self._error("says of its end another number of records")
        if self._file.read(1):
            raise self._error("goes on behind its end")

    def _error(self, what: str) -> CaptureFileError:
        return CaptureFileError(f"{self._name} {what}, after {self.read} good records: copy or capture it again")


@contextlib.contextmanager
def reading(path: Path) -> Iterator[CaptureReader]:
    """Raises CaptureFileError or OSError."""
    with path.open("rb") as file:
        yield CaptureReader(file, str(path))
