"""Decoding of record batches: one record for every offset, whatever a foreign client wrote.

A foreign client can append batches that the broker accepts and aiokafka cannot decode, or only by exhausting memory: a
header name that is not UTF-8, a gigabyte compressed to a megabyte, records whose numbering does not match their
offsets. aiokafka then raises, without naming the place, at every read of any partition. And it skips transaction
markers, whose offsets would be gaps in the journal. Here (decisions 2 and 14)

- a batch is decompressed within a bound (`service/codecs.py`), and a fetch ends early once it has enough bytes;
- a batch that fails to decode is decoded again with header names as bytes (surrogate escapes);
- every offset that still has no record gets one whose value is `Undecodable`;
- control records are ordinary records for read-uncommitted consumers;
- a batch with a wrong checksum is reported and read again after a pause; other partitions continue.

This replaces three names in `aiokafka.consumer.fetcher`, for every consumer of the process.
`tests/service/test_aiokafka_decoder.py` fails when an upgrade changes what it leans on.
"""

import asyncio
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record import memory_records
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy, _DefaultRecordPy
from aiokafka.record.util import decode_varint_py

from schemas.undecodable import Undecodable
from service.codecs import BATCH_MAX_BYTES, decompress
from service.logs import logger

FETCH_MAX_BYTES: Final = 8 * 1024 * 1024
"""Decompressed bytes of one partition's fetch; the batch that reaches the limit is the last one."""
CORRUPT_PAUSE_SECONDS: Final = 5.0

LENGTH_AT: Final = 8
LENGTH_BYTES: Final = 4
MAGIC_AT: Final = 16
MAGIC: Final = 2
CODEC_AT: Final = 22
CODEC_MASK: Final = 0x07
HEADER_BYTES: Final = 61

corrupt: Final[dict[TopicPartition, str]] = {}
"""Partitions stopped before a batch with a wrong checksum, with a sentence about it."""

_log = logger("batches")


class _Buffer(bytearray):
    """Bytes that always decode to text. The decoder decodes nothing but header names."""

    def __getitem__(self, index: Any) -> Any:
        part = super().__getitem__(index)
        return _Buffer(part) if isinstance(index, slice) else part

    def decode(self, *_: Any) -> str:
        return bytes(self).decode("utf-8", "surrogateescape")


class Patient(_DefaultRecordBatchPy):  # type: ignore[misc]
    """aiokafka's pure-Python decoder on such a buffer; the one in C reads beyond the end if a length is wrong."""

    _buffer: bytearray

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer = _Buffer(self._buffer)

    def _read_msg(self) -> Any:
        return super()._read_msg(decode_varint_py)


class _Batch:
    """One of aiokafka's batches, and its bytes."""

    def __init__(self, theirs: Any, raw: memoryview, fetched: "_Batches") -> None:
        self._theirs = theirs
        self._raw = raw
        self._fetched = fetched

    def __getattr__(self, name: str) -> Any:
        return getattr(self._theirs, name)

    @property
    def is_control_batch(self) -> bool:
        return bool(self._theirs.is_control_batch) and not self._fetched.shows_control

    def __next__(self) -> Any:
        return next(self._theirs)

    def __iter__(self) -> Iterator[Any]:
        return self._records() if self._raw[MAGIC_AT] >= MAGIC else iter(self._theirs)

    def _records(self) -> Iterator[Any]:
        offset, end = self._theirs.base_offset, self._theirs.next_offset
        try:
            plain = self._plain()
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing may be skipped
            yield from self._undecodable(offset, end, str(error))
            return
        reason = ""
        for decoder in (DefaultRecordBatch, Patient) if plain is self._raw else (Patient,):
            try:
                for record in islice(decoder(plain), offset - self._theirs.base_offset, None):
                    if record.offset != offset or offset == end:
                        raise ValueError(f"a record says that its offset is {record.offset}, and {offset} is next")
                    yield record
                    offset += 1
                if offset == end:
                    return
                reason = "it has fewer records than offsets"
            except Exception as error:  # noqa: BLE001 - whatever it is, the batch is looked at once more
                reason = f"{type(error).__name__}: {error}"
        yield from self._undecodable(offset, end, reason)

    def _plain(self) -> bytes | memoryview:
        """The batch as if it had not been compressed. Raises CodecError."""
        if not (codec := self._raw[CODEC_AT] & CODEC_MASK):
            return self._raw
        self._fetched.decompressed += BATCH_MAX_BYTES
        records = decompress(codec, bytes(self._raw[HEADER_BYTES:]))
        self._fetched.decompressed += len(records) - BATCH_MAX_BYTES
        header = bytearray(self._raw[:HEADER_BYTES])
        header[CODEC_AT] &= ~CODEC_MASK
        return bytes(header) + records

    def _undecodable(self, first: int, end: int, reason: str) -> Iterator[Any]:
        """One record for each offset, but for those before what was asked for."""
        batch = Patient(self._raw[:HEADER_BYTES])
        for offset in range(max(first, self._fetched.start), end):
            value = Undecodable.because(reason, bytes(self._raw) if offset == first else b"")
            yield _DefaultRecordPy(offset, batch.max_timestamp, batch.timestamp_type, None, value, [])


class _Batches:
    """The batches of one partition's fetch; replaces aiokafka's `MemoryRecords`."""

    def __init__(self, raw: bytes) -> None:
        self._theirs = memory_records.MemoryRecords(raw)
        self._rest = memoryview(raw)
        self.decompressed = 0
        self.shows_control = False
        self.start = 0

    def size_in_bytes(self) -> int:
        return int(self._theirs.size_in_bytes())

    def has_next(self) -> bool:
        return self.decompressed < FETCH_MAX_BYTES and bool(self._theirs.has_next())

    def next_batch(self) -> _Batch | None:
        theirs = self._theirs.next_batch()
        if theirs is None:
            return None
        after = LENGTH_AT + LENGTH_BYTES
        end = after + int.from_bytes(self._rest[LENGTH_AT:after], "big")
        raw, self._rest = self._rest[:end], self._rest[end:]
        return _Batch(theirs, raw, self)


class _PartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    """Ends before a batch with a wrong checksum, where aiokafka's raises and loses other partitions' records."""

    _records: _Batches

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._records.shows_control = self._isolation_level == fetcher.READ_UNCOMMITTED
        self._records.start = self.next_fetch_offset
        self.corrupt = ""

    def __next__(self) -> Any:
        try:
            return super().__next__()
        except CorruptRecordException as error:
            self.corrupt = str(error)
            raise StopIteration from None


class _FetchResult(fetcher.FetchResult):  # type: ignore[misc]
    """Pauses a partition before a batch whose checksum is wrong."""

    def _update_position(self) -> None:
        super()._update_position()
        where, records = self._topic_partition, self._partition_records
        if not records.corrupt:
            corrupt.pop(where, None)
            return
        corrupt[where] = f"{where.topic}/{where.partition} from offset {records.next_fetch_offset}: {records.corrupt}"
        _log.error("corrupt_batch", error=corrupt[where], retry_seconds=CORRUPT_PAUSE_SECONDS)
        state = self._assignment.state_value(where)
        state.pause()
        asyncio.get_running_loop().call_later(CORRUPT_PAUSE_SECONDS, state.resume)


fetcher.MemoryRecords = _Batches
fetcher.PartitionRecords = _PartitionRecords
fetcher.FetchResult = _FetchResult
