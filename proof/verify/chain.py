"""The hash chain over one partition's journal, and hashes of it that were kept elsewhere (decision 3)."""

import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from proof.checkpoint.file import Mark
from proof.log.snapshot import StoredRow
from proof.verify.differences import Difference, Report, subject
from schemas.records import Position


class Head(BaseModel):
    """An offset of a partition and the hash of its journal row, as /readyz of a processor says them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    offset: Annotated[int, Field(ge=0)]
    hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


Heads = Mapping[int, frozenset[Head]]

_HEADS: Final[TypeAdapter[dict[Annotated[int, Field(ge=0)], Head]]] = TypeAdapter(
    dict[Annotated[int, Field(ge=0)], Head]
)


def read_heads(text: str) -> dict[int, Head]:
    """Heads by partition, from an answer of /readyz or from its part `heads`. Raises ValueError."""
    document: Any = json.loads(text)
    if isinstance(document, dict) and "heads" in document:
        document = document["heads"]
    try:
        return _HEADS.validate_python(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def together(noted: Iterable[Mapping[int, Head]]) -> Heads:
    """All kept hashes, by partition."""
    noted = list(noted)
    partitions = {partition for heads in noted for partition in heads}
    return {partition: frozenset(heads[partition] for heads in noted if partition in heads) for partition in partitions}


class Chain:
    """Follows a partition's rows in order; reports where the chain first breaks, and kept hashes that are not on it.

    Of what is before `start` only the last hash is known.
    """

    def __init__(self, commands: str, partition: int, start: Mark, heads: Iterable[Head], report: Report) -> None:
        self._commands = commands
        self._partition = partition
        self._heads: dict[int, set[str]] = {}
        """The hashes that were noted, by offset: two of one offset are a difference, whichever is right."""
        for head in heads:
            self._heads.setdefault(head.offset, set()).add(head.hash)
        self._report = report
        self._whole = True
        self.last = start.head
        """The hash beside the row before."""
        if start.last is not None:
            self._look(start.last, start.hash, None)
        self.unknown = [offset for offset in self._heads if offset < start.next_offset]
        """Offsets of the heads before the start, of which nothing can be said."""
        for offset in self.unknown:
            del self._heads[offset]

    def add(self, stored: StoredRow, digest: bytes) -> None:
        """`digest` is the hash that follows from the row as it is stored and from `last`."""
        offset, of = stored.row.offset, subject(stored.row.kind, stored.row.subject_id)
        if digest != stored.hash and self._whole:
            self._whole = False
            words = (
                f"the chain of partition {self._partition} breaks here first: the hash is {stored.hash.hex()}, and "
                f"{digest.hex()} follows from this row and the hash before it"
            )
            self._report(Difference("chain", self._position(offset), words, of))
        self._look(offset, stored.hash.hex(), of)
        self.last = stored.hash

    def _look(self, offset: int, digest: str, of: str | None) -> None:
        for noted in sorted(self._heads.pop(offset, set()) - {digest}):
            words = f"the hash is {digest}, and {noted} was noted"
            self._report(Difference("heads", self._position(offset), words, of))

    def end(self) -> None:
        for offset in self._heads:
            self._report(Difference("heads", self._position(offset), "was noted, and the journal does not have it"))

    def _position(self, offset: int) -> str:
        return str(Position(self._commands, self._partition, offset))
