"""A capture file: replay/capture_file.py and replay/captured.py.

Whatever the bytes are: CaptureFileError, or a source and records. What is taken comes back when it is written again.

The first byte says what the rest is: the file behind its first nine bytes; blocks, divided by FF FE, each of a kind and
content, which get their lengths and digests; or the content of a block of records, in a file that is otherwise good.
"""

import io
from datetime import UTC, datetime

from replay.capture_file import MAGIC, VERSION, CaptureFileError, CaptureReader, CaptureWriter, Source
from replay.captured import Captured

DIVIDER = b"\xff\xfe"
SOURCE = Source(
    cluster_id="cluster",
    topic="allocation-commands",
    holds="commands",
    partitions=8,
    captured_at=datetime(2026, 11, 21, 12, tzinfo=UTC),
    ranges={0: (0, 5)},
)


def check(data: bytes) -> None:
    mode, rest = (data[0] % 3, data[1:]) if data else (0, b"")
    file = {0: lambda: MAGIC + bytes([VERSION]) + rest, 1: lambda: _blocks(rest), 2: lambda: _records(rest)}[mode]()
    try:
        source, records = _read(file)
    except CaptureFileError:
        return
    written = io.BytesIO()
    writer = CaptureWriter(written, source)
    for record in records:
        assert record.recorded_at.tzinfo is UTC
        writer.add(record)
    writer.finish()
    assert (source, records) == _read(written.getvalue())


def _read(file: bytes) -> tuple[Source, list[Captured]]:
    reader = CaptureReader(io.BytesIO(file), "file")
    return reader.source, list(reader)


def _blocks(data: bytes) -> bytes:
    file = io.BytesIO()
    writer = CaptureWriter(file, SOURCE)
    for part in data.split(DIVIDER):
        writer._blocks.write(part[:1].ljust(1), part[1:])
    return file.getvalue()


def _records(data: bytes) -> bytes:
    """With the right number at the end, when there is one."""
    file = io.BytesIO()
    writer = CaptureWriter(file, SOURCE)
    writer._blocks.write(b"R", data)
    writer._blocks.write(b"E", b'{"records": %d}' % (len(data) // 37 or 1))
    return file.getvalue()
