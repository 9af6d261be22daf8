"""Records that aiokafka can not decode, given to us instead of raised.

A foreign client can append what the broker takes and aiokafka does not: a header whose name is no UTF-8, a codec that
is not installed. aiokafka then raises, without saying where, at each read of any partition, for ever. Here such a batch
is decoded once more with names as bytes (surrogate escapes); the rest that is still undecodable becomes one
`Unreadable`, so that its partition halts there and the others go on (decision 14).

This replaces one name in `aiokafka.consumer.fetcher`, for every consumer of the process.
`tests/service/test_batches.py` fails when an upgrade changes what it leans on.
"""

from collections.abc import Iterator
from typing import Any, Final

from aiokafka.consumer import fetcher
from aiokafka.record import memory_records
from aiokafka.record.default_records import _DefaultRecordBatchPy, _DefaultRecordPy
from aiokafka.record.util import decode_varint_py

LENGTH_AT: Final = 8
LENGTH_BYTES: Final = 4


class Unreadable(bytes):
    """The value of a record that stands for an undecodable rest of a batch; `reason` says what was wrong."""

    reason: str

    @classmethod
    def because(cls, error: Exception) -> "Unreadable":
        value = cls()
        value.reason = f"{type(error).__name__}: {error}"
        return value


class _Buffer(bytearray):
    """Bytes whose parts become text whatever they are. The decoder makes text of nothing but header names."""

    def __getitem__(self, index: Any) -> Any:
        part = super().__getitem__(index)
        return _Buffer(part) if isinstance(index, slice) else part

    def decode(self, *_: Any) -> str:
        return bytes(self).decode("utf-8", "surrogateescape")


class Patient(_DefaultRecordBatchPy):  # type: ignore[misc]
    """aiokafka's own decoder, in Python, on such a buffer; the one in C reads beyond the end when a length lies."""

    _buffer: bytearray

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer = _Buffer(self._buffer)

    def _read_msg(self) -> Any:
        return super()._read_msg(decode_varint_py)


class _Batch:
    """One of aiokafka's batches, and its bytes."""

    def __init__(self, theirs: Any, raw: memoryview) -> None:
        self._theirs = theirs
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._theirs, name)

    def __next__(self) -> Any:
        return next(self._theirs)

    def __iter__(self) -> Iterator[Any]:
        try:
            return iter(list(self._theirs))
        except Exception:  # noqa: BLE001 - whatever it is, the batch is looked at once more
            return self._once_more()

    def _once_more(self) -> Iterator[Any]:
        batch = Patient(self._raw)
        offset = batch.base_offset
        try:
            for record in batch:
                yield record
                offset = record.offset + 1
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing may be skipped
            yield _DefaultRecordPy(
                offset, batch.max_timestamp, batch.timestamp_type, None, Unreadable.because(error), []
            )


class _Batches:
    """What a fetch brought of one partition, in place of aiokafka's `MemoryRecords`."""

    def __init__(self, raw: bytes) -> None:
        self._theirs = memory_records.MemoryRecords(raw)
        self._rest = memoryview(raw)

    def size_in_bytes(self) -> int:
        return int(self._theirs.size_in_bytes())

    def has_next(self) -> bool:
        return bool(self._theirs.has_next())

    def next_batch(self) -> _Batch | None:
        theirs = self._theirs.next_batch()
        if theirs is None:
            return None
        after = LENGTH_AT + LENGTH_BYTES
        end = after + int.from_bytes(self._rest[LENGTH_AT:after], "big")
        raw, self._rest = self._rest[:end], self._rest[end:]
        return _Batch(theirs, raw)


fetcher.MemoryRecords = _Batches
