"""A file of blocks that is written as a stream, and whole or not at all; whatever happens to it later is seen.

    file   = magic version block*               version: one byte
    block  = kind stored raw body digest        kind: one byte; stored, raw: lengths, 4 bytes each, big-endian
    body   = zlib(content)                      `stored` bytes, `raw` after decompression
    digest = SHA-256(digest before it, kind stored raw body)

The digests are a chain that starts at SHA-256 of magic and version, so a change, a swap or a cut shows at the block
where it is; the last block is of a kind of its own, so the end can not be missed. One block is in memory.
"""

import contextlib
import hashlib
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

BLOCK_BYTES: Final = 1024 * 1024
"""How much content is put into one block, as far as it can be divided so."""

_HEAD: Final = struct.Struct(">cII")
_DIGEST_BYTES: Final = hashlib.sha256().digest_size


class DamagedError(Exception):
    """The rest of a sentence about the file: `is cut off`."""


class BlockWriter:
    def __init__(self, file: BinaryIO, magic: bytes, version: int) -> None:
        self._file = file
        start = magic + bytes([version])
        self._digest = hashlib.sha256(start).digest()
        file.write(start)

    def write(self, kind: bytes, content: bytes) -> None:
        body = zlib.compress(content)
        head = _HEAD.pack(kind, len(body), len(content))
        self._digest = hashlib.sha256(self._digest + head + body).digest()
        self._file.write(head + body + self._digest)


class BlockReader:
    """Reads a file block by block, behind its start, which the caller has read and knows."""

    def __init__(self, file: BinaryIO, start: bytes, longest: int) -> None:
        self._file = file
        self._digest = hashlib.sha256(start).digest()
        self._longest = longest

    def read(self) -> tuple[bytes, bytes]:
        """Kind and content of the next block. Raises DamagedError at the first byte that is not as it was written."""
        head = self._exactly(_HEAD.size)
        kind, stored, raw = _HEAD.unpack(head)
        if max(stored, raw) > self._longest:
            raise DamagedError("is damaged")
        body = self._exactly(stored)
        digest = hashlib.sha256(self._digest + head + body).digest()
        if self._exactly(_DIGEST_BYTES) != digest:
            raise DamagedError("is damaged")
        self._digest = digest
        return kind, _decompressed(body, raw)

    def check_end(self) -> None:
        """Raises DamagedError when there is more."""
        if self._file.read(1):
            raise DamagedError("goes on behind its end")

    def _exactly(self, count: int) -> bytes:
        found = self._file.read(count)
        if len(found) < count:
            raise DamagedError("is cut off")
        return found


def _decompressed(body: bytes, raw: int) -> bytes:
    inflater = zlib.decompressobj()
    try:
        content = inflater.decompress(body, raw + 1)
    except zlib.error as error:
        raise DamagedError(f"has a block that can not be decompressed ({error})") from error
    if len(content) != raw or not inflater.eof:
        raise DamagedError("has a block of another length than it says")
    return content


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that has its name when it is complete, and not before: whatever ends the writing leaves all or nothing."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with unfinished.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)
