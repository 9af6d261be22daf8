"""A ledger as CSV (RFC 4180): one header line, CRLF, quotes where they are needed; read in parts, written as they come.

A spreadsheet takes a cell for a formula that begins with one of `= + - @`, a tab or a carriage return. Text that comes
from others gets an apostrophe before it; our own numbers keep their sign.
"""

import csv
import io
from collections.abc import Iterable
from typing import Final

from schemas.platform import LedgerEntry

COLUMNS: Final = (
    *("connectionId", "currency", "sequence", "at", "debit", "credit", "quantity", "availableChange", "heldChange"),
    *("available", "held", "missingBefore", "kind", "id", "verb", "reason", "commandId", "position"),
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def text_of_others(text: str) -> str:
    """The text as a cell that no spreadsheet computes."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def header() -> bytes:
    return _lines([COLUMNS])


def lines(connection_id: str, currency: str, entries: Iterable[LedgerEntry]) -> bytes:
    return _lines(
        (
            connection_id,
            text_of_others(currency),
            str(entry.sequence),
            entry.at,
            entry.debit,
            entry.credit,
            entry.quantity,
            entry.available_change,
            entry.held_change,
            entry.available,
            entry.held,
            "true" if entry.missing_before else "false",
            entry.subject.kind,
            entry.subject.id,
            entry.subject.verb,
            text_of_others(entry.reason or ""),
            entry.command_id,
            entry.position,
        )
        for entry in entries
    )


def _lines(rows: Iterable[Iterable[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()
