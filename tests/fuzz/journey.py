"""A record on its way through the processor, as far as that is pure: read, decided, journaled, as columns and bytes."""

import json
from datetime import datetime
from typing import Any

from processor.domain.batch import Batch, Record, read, wanted
from processor.domain.policy import PolicySettings
from processor.domain.rows import LoadedRows, Watermark
from processor.postgres.rows import dead_letter_row
from schemas.records import Headers

OPEN = PolicySettings(None, {})


def through_the_batch(
    key: bytes | None, value: bytes | None, headers: Headers, partition: int, recorded_at: datetime
) -> dict[str, Any]:
    """The journal row that the record leaves, which Postgres can store. Raises NewerSchemaError."""
    each = read(Record(partition, 7, recorded_at, key, value, headers), 8)
    asked = wanted([each])
    assert asked.partitions == {partition}
    batch = Batch(LoadedRows({partition: Watermark(7, bytes(32))}, {}, {}), OPEN)
    batch.add(each)
    [(row, digest)] = batch.journal
    assert len(digest) == 32
    columns = row.columns() | {"traceparent": row.traceparent}
    text = json.dumps(columns, default=str, ensure_ascii=False)
    assert "\0" not in text
    assert "\\u0000" not in text
    text.encode()
    for record, parked in batch.dead_letters:
        letter = dead_letter_row(record, parked)
        assert (key, value) == (letter["key"], letter["value"])
        names = [name.decode("utf-8", "surrogateescape") for name in letter["header_names"]]
        assert headers == list(zip(names, letter["header_values"], strict=True))
    return columns
