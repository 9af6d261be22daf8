"""The rows that a checkpoint keeps: the last journal row of each partition, and those of open dead letters."""

from datetime import UTC, datetime
from typing import Any

from proof.log.snapshot import Rows


def kept_row(rows: Rows, offset: int) -> dict[str, Any] | None:
    """A journal row with its ledger rows and dead letter, as a line of the file has it; None where there is none."""
    stored = rows.journal.get(offset)
    if stored is None:
        return None
    letter = rows.dead_letters.get(offset)
    return {
        "journal": stored.row.columns() | {"traceparent": stored.row.traceparent, "hash": stored.hash.hex()},
        "ledger": rows.ledger.get(offset, []),
        "dead_letter": None if letter is None else {name: _printable(each) for name, each in letter.items()},
    }


def iso(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat()


def _printable(value: Any) -> Any:
    if isinstance(value, list):
        return [_printable(each) for each in value]
    if isinstance(value, datetime):
        return iso(value)
    return value.hex() if isinstance(value, bytes) else value
