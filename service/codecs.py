"""Decompression of record batches within a bound, against decompression bombs (decision 14).

The broker stores what a client compressed as it came, and the codec is the client's choice. Framing is Kafka's:
gzip members; snappy raw, or in xerial's blocks; LZ4 and Zstandard frames.
"""

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import cramjam

BATCH_MAX_BYTES: Final = 8 * 1024 * 1024
"""Of the records of one batch, decompressed. By Kafka's defaults a batch has a mebibyte at most on its way, and a
process can hold eight times as much of each partition."""

_GZIP: Final = zlib.MAX_WBITS | 16
_MEMBERS_MAX: Final = 16
"""Clients write one; what is behind a member is copied for the next."""
_XERIAL: Final = b"\x82SNAPPY\x00"
_XERIAL_HEAD_BYTES: Final = 16
_LENGTH: Final = struct.Struct(">i")


class CodecError(Exception):
    """The bytes can not be decompressed, or not into so few."""


def decompress(codec: int, content: bytes) -> bytes:
    """`codec` is the number in a batch's attributes. Raises CodecError."""
    if codec not in _CODECS:
        raise CodecError(f"there is no codec {codec}")
    name, function = _CODECS[codec]
    try:
        return function(content)
    except (cramjam.DecompressionError, zlib.error, struct.error, ValueError) as error:
        raise CodecError(f"{name}: {error}") from error


def _gzip(content: bytes) -> bytes:
    """One member after the other, as Python's own `gzip` reads them, which pass over zeros in between."""
    found = b""
    for _ in range(_MEMBERS_MAX):
        member = zlib.decompressobj(_GZIP)
        found += member.decompress(content, BATCH_MAX_BYTES + 1 - len(found))
        _check_size(len(found))
        if not member.eof:
            raise ValueError("a member is cut off")
        content = member.unused_data.lstrip(b"\0")
        if not content:
            return found
    raise ValueError(f"it has more than {_MEMBERS_MAX} members")


def _snappy(content: bytes) -> bytes:
    blocks = list(_xerial_blocks(content)) if content.startswith(_XERIAL) else [content]
    _check_size(sum(map(cramjam.snappy.decompress_raw_len, blocks)))
    return b"".join(bytes(cramjam.snappy.decompress_raw(block)) for block in blocks)


def _xerial_blocks(content: bytes) -> Iterator[bytes]:
    at = _XERIAL_HEAD_BYTES
    while at < len(content):
        start = at + _LENGTH.size
        at = start + _LENGTH.unpack_from(content, at)[0]
        if not start < at <= len(content):
            raise ValueError("a block's length is wrong")
        yield content[start:at]


def _into_buffer(decompress_into: Callable[[bytes, bytearray], int]) -> Callable[[bytes], bytes]:
    def function(content: bytes) -> bytes:
        buffer = bytearray(BATCH_MAX_BYTES)
        return bytes(memoryview(buffer)[: decompress_into(content, buffer)])

    return function


def _check_size(count: int) -> None:
    if count > BATCH_MAX_BYTES:
        raise ValueError(f"decompressed, it has more than {BATCH_MAX_BYTES} bytes")


_CODECS: Final[Mapping[int, tuple[str, Callable[[bytes], bytes]]]] = {
    1: ("gzip", _gzip),
    2: ("snappy", _snappy),
    3: ("lz4", _into_buffer(cramjam.lz4.decompress_into)),
    4: ("zstd", _into_buffer(cramjam.zstd.decompress_into)),
}
