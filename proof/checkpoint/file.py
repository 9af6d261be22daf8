"""The checkpoint file, version 1: all that follows from a log up to one position of each partition (record 0012).

The blocks are those of `replay/blocks.py`, behind "ALLOCCHK" and one byte, 1. One H with a JSON object, the
`Checkpoint`; then A's with allocations, N's with connections, J's with adjustments, C's with accounts, P's with the
platform's accounts, U's with the sums of days and K's with journal rows that are kept, a JSON document on each line,
about 1 MiB each; then one E with a JSON object that says how many lines there were.
"""

import contextlib
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError

from processor.domain.journal import FIRST_HASH
from proof.log.progress import Progress
from proof.log.subject_tables import ADJUSTMENTS, ALLOCATIONS, CONNECTIONS
from replay.blocks import BLOCK_BYTES, BlockReader, BlockWriter, DamagedError, whole_file
from service.errors import OperatorError

MAGIC: Final = b"ALLOCCHK"
VERSION: Final = 1
BLOCK_MAX_BYTES: Final = 256 * 1024 * 1024
"""A line may be a dead letter, twice as long as the longest record, because its bytes are hexadecimal digits."""

_HEADER, _END = b"H", b"E"


class BlockKind(Enum):
    """What the lines of a block are."""

    ALLOCATIONS = b"A"
    ACCOUNTS = b"C"
    CONNECTIONS = b"N"
    PLATFORM_ACCOUNTS = b"P"
    ADJUSTMENTS = b"J"
    USAGES = b"U"
    KEPT = b"K"


SUBJECT_BLOCKS: Final = {
    BlockKind.ALLOCATIONS: ALLOCATIONS,
    BlockKind.CONNECTIONS: CONNECTIONS,
    BlockKind.ADJUSTMENTS: ADJUSTMENTS,
}


class Mark(BaseModel):
    """Where a partition stands. `events`, `dead_letters`: where what is published of later commands begins."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    next_offset: NonNegativeInt
    hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    events: NonNegativeInt
    dead_letters: NonNegativeInt

    @property
    def head(self) -> bytes:
        return bytes.fromhex(self.hash)

    @property
    def last(self) -> int | None:
        """The offset of the last journal row; None before the first."""
        return None if self.head == FIRST_HASH else self.next_offset - 1


class Checkpoint(BaseModel):
    """Which log, how far, and when; `states`: how many rows there are that are no history."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cluster_id: str
    commands_topic: str
    partitions: PositiveInt
    taken_at: AwareDatetime
    states: NonNegativeInt
    marks: dict[NonNegativeInt, Mark]


class _End(BaseModel):
    lines: NonNegativeInt


class CheckpointWriter:
    """Writes one checkpoint; without `finish` no reader takes it for a whole one."""

    def __init__(self, file: BinaryIO, checkpoint: Checkpoint) -> None:
        self._blocks = BlockWriter(file, MAGIC, VERSION)
        self._raw = bytearray()
        self._part = BlockKind.ALLOCATIONS
        self._lines = 0
        self._blocks.write(_HEADER, checkpoint.model_dump_json().encode())

    def add(self, part: BlockKind, row: Any) -> None:
        if part is not self._part:
            self._flush()
            self._part = part
        self._raw += orjson.dumps(row) + b"\n"
        self._lines += 1
        if len(self._raw) >= BLOCK_BYTES:
            self._flush()

    def finish(self) -> None:
        self._flush()
        self._blocks.write(_END, _End(lines=self._lines).model_dump_json().encode())

    def _flush(self) -> None:
        if self._raw:
            self._blocks.write(self._part.value, bytes(self._raw))
            self._raw.clear()


@contextlib.contextmanager
def writing(path: Path, checkpoint: Checkpoint) -> Iterator[CheckpointWriter]:
    """A checkpoint that has its name when it is complete, and not before."""
    with whole_file(path) as file:
        writer = CheckpointWriter(file, checkpoint)
        yield writer
        writer.finish()


class CheckpointReader:
    """Reads one checkpoint. Iterating returns its blocks, and checks everything on the way up to the end.

    Raises OperatorError at the first byte that is not as it was written: what came before is worth nothing then.
    """

    def __init__(self, file: BinaryIO, name: str, progress: Progress) -> None:
        self._name = name
        self._progress = progress
        start = file.read(len(MAGIC) + 1)
        if start != MAGIC + bytes([VERSION]):
            raise OperatorError(
                f"{name} is no checkpoint of version {VERSION}: name a file that `allocations checkpoint` has written"
            )
        self._blocks = BlockReader(file, start, BLOCK_MAX_BYTES)
        kind, content = self._read()
        try:
            self.checkpoint = Checkpoint.model_validate_json(content if kind == _HEADER else b"")
        except ValidationError as error:
            raise self._error("does not begin with what this version understands") from error
        if self.checkpoint.marks.keys() != set(range(self.checkpoint.partitions)):
            raise self._error("does not say where each partition stands")

    def __iter__(self) -> Iterator[tuple[BlockKind, list[Any]]]:
        lines = 0
        self._progress.phase("checkpoint", self.checkpoint.states)
        while (block := self._read())[0] != _END:
            part, rows = self._rows(*block)
            lines += len(rows)
            yield part, rows
            if part is not BlockKind.KEPT:
                self._progress.advance(len(rows))
        self._check_end(block[1], lines)

    def _rows(self, kind: bytes, content: bytes) -> tuple[BlockKind, list[Any]]:
        try:
            return BlockKind(kind), [orjson.loads(line) for line in content.splitlines()]
        except ValueError as error:
            raise self._error("has a block that this version does not understand") from error

    def _check_end(self, content: bytes, lines: int) -> None:
        try:
            if _End.model_validate_json(content).lines != lines:
                raise self._error("says at its end another number of lines")
            self._blocks.check_end()
        except (DamagedError, ValidationError) as error:
            raise self._error(str(error)) from error

    def _read(self) -> tuple[bytes, bytes]:
        try:
            return self._blocks.read()
        except DamagedError as error:
            raise self._error(str(error)) from error

    def _error(self, what: str) -> OperatorError:
        return OperatorError(f"{self._name} {what}, and nothing may rest on it: copy it again, or take another one")


@contextlib.contextmanager
def reading(path: Path, progress: Progress) -> Iterator[CheckpointReader]:
    """Raises OperatorError or OSError."""
    with path.open("rb") as file:
        yield CheckpointReader(file, str(path), progress)


def check_whole(path: Path, progress: Progress) -> Checkpoint:
    """Read all of it; what it says of itself. Raises OperatorError or OSError."""
    with reading(path, progress) as reader:
        for _ in reader:
            pass
        return reader.checkpoint
