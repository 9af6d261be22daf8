"""Rows of allocations that were reserved and cleared, made in a hurry: what a long history leaves in the tables.

The product's own code decides one example; the others are its text with other ids, places, times and balances. So every
journal row is what the product would have written, and its hash covers the row before it. They stand under partitions
that the log does not have, because the start checks compare tables and log where the log has records.
"""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from processor.domain.account import Account
from processor.domain.batch import Batch, Read, Record
from processor.domain.journal import FIRST_HASH, JournalRow
from processor.domain.policy import PolicySettings
from processor.domain.rows import LoadedRows, Watermark
from schemas.commands import Amount, ClearAllocation, Edition, ReserveAllocation
from schemas.records import canonical_json
from schemas.words import AfterFinal

FIRST_PARTITION: Final = 1_000_000
PARTITIONS: Final = 8
QUANTITY: Final = 5
BEGINNING: Final = datetime(2024, 1, 1, tzinfo=UTC)
EDITION: Final = canonical_json(Edition().model_dump(by_alias=True)).decode()
JOURNAL_COLUMNS: Final = (
    "partition, offset, command_id, subject_id, kind, verb, outcome, reason, status_before, version_before, "
    "status_after, version_after, event, facts, recorded_at, traceparent, hash"
)
ALLOCATION_COLUMNS: Final = (
    "allocation_id, kind, status, version, currency, quantity, client_id, connection_id, partners_connection_id, "
    "partner_allocation_id, edition, partner_client_id, decided_by, created_at, updated_at"
)
LEDGER_COLUMNS: Final = "partition, offset, connection_id, currency, sequence, debit, credit, quantity"

_EXAMPLE: Final[dict[str, str]] = {
    "allocation": "aaaaaaaa-0000-4000-8000-000000000001",
    "first": "aaaaaaaa-0000-4000-8000-000000000002",
    "second": "aaaaaaaa-0000-4000-8000-000000000003",
    "client": "aaaaaaaa-0000-4000-8000-000000000004",
    "connection": "aaaaaaaa-0000-4000-8000-000000000005",
    "partner": "aaaaaaaa-0000-4000-8000-000000000006",
    "at": "2001-01-01T01:01:01.001",
    "partition": "777777771",
    "reserved_offset": "777777772",
    "cleared_offset": "777777773",
    "sequence": "777777774",
    "available": "777777775",
}
"""Texts that occur nowhere else."""


@dataclass
class Template:
    """A journal row as the hash sees it, and as COPY wants it."""

    canonical: str
    line: str


@dataclass(frozen=True)
class Chunk:
    """Lines for COPY."""

    journal: str
    allocations: str
    ledger: str


@dataclass
class History:
    """Goes on from where the last rows of each partition and account stand."""

    heads: list[tuple[int, bytes]] = field(default_factory=lambda: [(0, FIRST_HASH)] * PARTITIONS)
    accounts: dict[str, tuple[int, int]] = field(default_factory=dict)
    made: int = 0

    def __post_init__(self) -> None:
        self._reserved, self._cleared = (_template(row) for row in _example())
        self._connections = list(self.accounts)

    def chunk(self, count: int) -> Chunk:
        journal, allocations, ledger = [], [], []
        for _ in range(count):
            values = self._next()
            self.made += 1
            place = (self.made - 1) % PARTITIONS
            head = self.heads[place][1]
            for template in (self._reserved, self._cleared):
                head = hashlib.sha256(head + (template.canonical % values).encode()).digest()
                journal.append(template.line % {**values, "hash": head.hex()})
            self.heads[place] = values["cleared_offset"] + 1, head
            allocations.append(_ALLOCATION_LINE % values)
            ledger.append(_LEDGER_LINE % values)
        return Chunk("".join(journal), "".join(allocations), "".join(ledger))

    def _next(self) -> dict[str, Any]:
        place = self.made % PARTITIONS
        offset = self.heads[place][0]
        connection = random.choice(self._connections)
        sequence, available = self.accounts[connection]
        self.accounts[connection] = sequence + 1, available + QUANTITY
        bits = f"{random.getrandbits(5 * 128):0160x}"
        return {
            **{name: _uuid(bits[32 * n : 32 * n + 32]) for n, name in enumerate(_IDS)},
            "connection": connection,
            "at": (BEGINNING + timedelta(milliseconds=self.made)).isoformat(timespec="milliseconds")[:23],
            "partition": FIRST_PARTITION + place,
            "reserved_offset": offset,
            "cleared_offset": offset + 1,
            "sequence": sequence + 1,
            "available": available,
            "trace": bits[:32],
        }


_IDS: Final = ("allocation", "first", "second", "client", "partner")
_TRACE: Final = "00-%(trace)s-00f067aa0ba902b7-01"
_ALLOCATION_LINE: Final = (
    "%(allocation)s\tallocation\tcleared\t2\tBTC\t5\t%(client)s\t%(connection)s\taccount-1\t%(partner)s\t"
    f"{EDITION}\tclient-1\t%(first)s\t%(at)sZ\t%(at)sZ\n"
)
_LEDGER_LINE: Final = "%(partition)s\t%(cleared_offset)s\t%(connection)s\tBTC\t%(sequence)s\tcustody\tavailable\t5\n"


def _uuid(text: str) -> str:
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-8{text[17:20]}-{text[20:]}"


def _example() -> Sequence[JournalRow]:
    """A reserve and its clear, decided by the product."""
    e, at = _EXAMPLE, datetime.fromisoformat(_EXAMPLE["at"] + "+00:00")
    account = Account(e["connection"], "BTC", int(e["sequence"]) - 1, int(e["available"]), 0)
    stamps = {"allocation_id": e["allocation"], "received_at": at, "deadline": at}
    reserve = ReserveAllocation(
        **stamps,
        command_id=e["first"],
        amount=Amount(currency="BTC", quantity=str(QUANTITY)),
        client_id=e["client"],
        connection_id=e["connection"],
        partners_connection_id="account-1",
        partner_allocation_id=e["partner"],
        partner_client_id="client-1",
        edition=Edition(),
        after_final=AfterFinal.CONFLICT,
    )
    partition = int(e["partition"])
    tables = LoadedRows({partition: Watermark(0, FIRST_HASH)}, {}, {account.key: account})
    batch = Batch(tables, PolicySettings())
    for name, command in (
        ("reserved_offset", reserve),
        ("cleared_offset", ClearAllocation(**stamps, command_id=e["second"])),
    ):
        batch.add(Read(Record(partition, int(e[name]), at, None, None, []), command))
    return [row for row, _ in batch.journal]


def _template(row: JournalRow) -> Template:
    columns = row.columns()
    cells = columns | {
        "event": canonical_json(row.event).decode(),
        "facts": canonical_json(row.facts).decode(),
        "traceparent": "\0",
        "hash": "\1",
    }
    line = "\t".join(_cell(cells[name]) for name in JOURNAL_COLUMNS.split(", ")) + "\n"
    canonical = canonical_json(columns).decode()
    for name, text in _EXAMPLE.items():
        canonical, line = (each.replace(text, f"%({name})s") for each in (canonical, line))
    return Template(canonical, line.replace("\0", _TRACE).replace("\1", r"\\x%(hash)s"))


def _cell(value: Any) -> str:
    return r"\N" if value is None else str(value)
