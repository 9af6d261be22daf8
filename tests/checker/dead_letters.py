"""Records that foreign clients wrote: each parked once, with every byte, and published once as a dead letter.

What a run lets a foreign client write bears a header, so that a dead letter of anything else is found. Where markers of
transactions are shown as records, they are foreign too: nobody else writes the commands topic in transactions.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final

from aiokafka import ConsumerRecord

from tests.checker.findings import Findings, Verdict
from tests.checker.store import Row, Store

FOREIGN_HEADER: Final = "foreign-client"
POSITION: Final = "dead-letter-position"
REASON: Final = "dead-letter-reason"
SIZE: Final = ("dead-letter-value-bytes", "dead-letter-size")
DIGEST: Final = ("dead-letter-value-sha256", "dead-letter-sha256")
MARKERS: Final = (b"\0\0\0\0", b"\0\0\0\1")
"""Keys of control records: version 0, abort and commit."""

UNEXPLAINED: Final = """
    SELECT partition || '/' || "offset", 'is no command, and no foreign client of this run wrote it'
    FROM record r LEFT JOIN foreign_record f USING (partition, "offset") WHERE r.id IS NULL AND f.partition IS NULL
    UNION ALL
    SELECT partition || '/' || "offset", 'is parked: ' || d.reason
    FROM dead_letter d LEFT JOIN foreign_record f USING (partition, "offset") WHERE f.partition IS NULL
    UNION ALL
    SELECT 'topic ' || c.place, 'is of no foreign record: ' || coalesce(c.reason, 'no reason')
    FROM dead_letter_copy c LEFT JOIN foreign_record f USING (partition, "offset") WHERE f.partition IS NULL
"""
PARKED: Final = """
    SELECT partition || '/' || "offset", f.size, f.digest, j.outcome, d.reason, d.size, d.digest
    FROM foreign_record f
    LEFT JOIN journal j USING (partition, "offset")
    LEFT JOIN dead_letter d USING (partition, "offset")
"""
PUBLISHED: Final = """
    SELECT partition || '/' || "offset", count(c.place), sum(c.size IS f.size AND c.digest IS f.digest)
    FROM foreign_record f LEFT JOIN dead_letter_copy c USING (partition, "offset")
    GROUP BY partition, "offset"
"""


def foreign_rows(records: Sequence[ConsumerRecord], commanded: Sequence[Row]) -> Iterator[Row]:
    """Those that are no commands. `commanded`: the same records as commands, without an id where they are none."""
    for record, (_, _, identifier, *_) in zip(records, commanded, strict=True):
        if identifier is None and (_is_marked(record) or _is_marker(record)):
            yield record.partition, record.offset, *_content(record.value)


def _is_marked(record: ConsumerRecord) -> bool:
    return any(name == FOREIGN_HEADER for name, _ in record.headers)


def _is_marker(record: ConsumerRecord) -> bool:
    return record.key in MARKERS and not record.headers


def copy_row(record: ConsumerRecord) -> Row:
    """One that was too large for its topic has no value, and headers that tell of its bytes."""
    headers = {name: (value or b"").decode(errors="replace") for name, value in record.headers}
    _, partition, offset = headers.get(POSITION, "/-1/-1").rsplit("/", 2)
    size, digest = (next(filter(None, map(headers.get, names)), None) for names in (SIZE, DIGEST))
    content = (int(size), digest) if record.value is None and size and digest else _content(record.value)
    return f"{record.partition}/{record.offset}", int(partition), int(offset), headers.get(REASON), *content


def _content(value: bytes | None) -> tuple[int | None, str | None]:
    return (None, None) if value is None else (len(value), hashlib.sha256(value).hexdigest())


def dead_letters(store: Store, findings: Findings) -> None:
    for place, words in store.rows(UNEXPLAINED):
        findings.add(Verdict.DEAD_LETTER, place, words)
    for place, size, digest, outcome, reason, *parked in store.rows(PARKED):
        if (outcome, *parked) != ("parked", size, digest) or reason is None:
            words = f"a foreign record of {size} bytes is {outcome} in the journal, its dead letter {reason} {parked}"
            findings.add(Verdict.DEAD_LETTER, place, words)
    for place, times, right in store.rows(PUBLISHED):
        if (times, right) != (1, 1):
            words = f"its dead letter is {times} times in the topic, {right or 0} times with its content"
            findings.add(Verdict.DEAD_LETTER, place, words)
