"""Settlements: what traded balances come to, moved at BitGo (contract, section 10).

Version 1 is completed or has failed at once. Version 2 stays pending until the simulator is told to finalize it; what
is disputed by then stays behind, and a closed dispute's rest is added to the next one. externalId is the idempotency
key. Chosen: the same bytes are a repeat and other bytes a conflict; nothing is held while a settlement is pending; the
partner's own account has no limit.
"""

import sqlite3
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, Literal

from bitgo.simulator.entries import now_milliseconds
from bitgo.simulator.ledger import Ledger

SettlementStatus = Literal["pending", "failed", "completed", "rejected"]
FINAL: Final = frozenset({"completed", "rejected"})
AS_REQUESTED: Final = "as requested of the simulator"


class ConflictError(Exception):
    """What was asked does not fit what is there; nothing was changed."""


class UncoveredError(Exception):
    """A connection would lose more than it has allocated; nothing was changed."""


@dataclass(frozen=True)
class Transfer:
    """`quantity` is in signed base units: the connection gains it, its counterparty (None: the partner) loses it."""

    connection_id: str
    counterparty_id: str | None
    currency: str
    quantity: int


@dataclass(frozen=True)
class Request:
    """A settlement as it was asked for. `body` is what came, byte for byte."""

    external_id: str
    version: Literal[1, 2]
    body: bytes
    transfers: Sequence[Transfer]
    initiated_by: str
    notes: str | None = None
    cutoff_at: int | None = None


@dataclass(frozen=True)
class Settlement:
    settlement_id: str
    external_id: str
    version: int
    body: bytes
    notes: str | None
    initiated_by: str
    status: SettlementStatus
    reason: str | None
    cutoff_at: int | None
    created_at: int
    updated_at: int
    finalized_at: int | None


class Settlements:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._database = ledger.database
        ledger.add_tables(files("bitgo.simulator").joinpath("settlements.sql").read_text())

    def get(self, settlement_id: str) -> Settlement | None:
        return self._one("SELECT * FROM settlements WHERE settlement_id = ?", settlement_id)

    def of_external_id(self, external_id: str) -> Settlement | None:
        return self._one("SELECT * FROM settlements WHERE external_id = ?", external_id)

    def post(self, request: Request, stop_at: SettlementStatus | None = None) -> Settlement:
        """Create or repeat it. `stop_at`: leave it in this status, which is not `completed`, without moving anything.

        Raises ConflictError for a known externalId with other bytes, UncoveredError for version 2.
        """
        with self._ledger.transaction():
            known = self.of_external_id(request.external_id)
            if known and (known.version, known.body) != (request.version, request.body):
                raise ConflictError("a settlement with this externalId and other properties is there already")
            if known and (known.status in FINAL or (known.version, known.status) == (2, "pending")):
                return known
            settlement_id = known.settlement_id if known else self._create(request)
            if stop_at is not None:
                return self._set(settlement_id, stop_at, None if stop_at == "pending" else AS_REQUESTED)
            if request.version == 1:
                return self._complete_or_fail(settlement_id)
            if uncovered := self._uncovered(settlement_id):
                raise UncoveredError(uncovered)
            return self._set(settlement_id, "pending")

    def finalize(self, settlement_id: str) -> Settlement:
        """The end of the dispute window. Raises ConflictError when it is final already."""
        with self._ledger.transaction():
            self._check_open(settlement_id)
            self._database.execute(
                "UPDATE settlement_transfers SET status = 'disputed', updated_at = :now"
                " WHERE settlement_id = :settlement_id AND closure_id IS NULL AND status <> 'disputed' AND EXISTS ("
                "SELECT * FROM disputes WHERE disputes.settlement_id = :settlement_id AND retracted_at IS NULL"
                " AND disputes.connection_id IN (settlement_transfers.connection_id, counterparty_id))",
                {"settlement_id": settlement_id, "now": now_milliseconds()},
            )
            return self._complete_or_fail(settlement_id)

    def reject(self, settlement_id: str, reason: str) -> Settlement:
        with self._ledger.transaction():
            self._check_open(settlement_id)
            return self._set(settlement_id, "rejected", reason)

    def _create(self, request: Request) -> str:
        settlement_id, now = str(uuid.uuid4()), now_milliseconds()
        self._database.execute(
            "INSERT INTO settlements VALUES (?, ?, ?, ?, ?, ?, 'pending', NULL, ?, ?, ?, NULL)",
            (
                settlement_id,
                request.external_id,
                request.version,
                request.body,
                request.notes,
                request.initiated_by,
                request.cutoff_at,
                now,
                now,
            ),
        )
        add_transfers(self._database, request.transfers, settlement_id=settlement_id)
        self._settle_closed_disputes(settlement_id, now)
        return settlement_id

    def _settle_closed_disputes(self, settlement_id: str, now: int) -> None:
        """What closed disputes left over joins the next settlement."""
        self._database.execute(
            "UPDATE disputes SET settled_in = ?, updated_at = ? WHERE closure_id IS NOT NULL AND settled_in IS NULL",
            (settlement_id, now),
        )
        self._database.execute(
            "UPDATE settlement_transfers SET settlement_id = ?, status = 'pending', updated_at = ?"
            " WHERE status = 'pending_settlement_assignment'",
            (settlement_id, now),
        )

    def _hand_back(self, settlement_id: str) -> None:
        """What closed disputes left over waits for another settlement again."""
        self._database.execute("UPDATE disputes SET settled_in = NULL WHERE settled_in = ?", (settlement_id,))
        self._database.execute(
            "UPDATE settlement_transfers SET settlement_id = NULL, status = 'pending_settlement_assignment'"
            " WHERE settlement_id = ? AND closure_id IS NOT NULL",
            (settlement_id,),
        )

    def _complete_or_fail(self, settlement_id: str) -> Settlement:
        if uncovered := self._uncovered(settlement_id):
            return self._set(settlement_id, "failed", uncovered)
        for (connection_id, currency), quantity in sorted(self._net(settlement_id).items()):
            if quantity:
                self._ledger.move(connection_id, currency, quantity, 0, "settlement", settlement_id)
        return self._set(settlement_id, "completed")

    def _uncovered(self, settlement_id: str) -> str | None:
        """In words, the first balance that would fall below 0."""
        for (connection_id, currency), quantity in sorted(self._net(settlement_id).items()):
            available = self._ledger.balance(connection_id, currency).available
            if quantity < 0 and available + quantity < 0:
                return f"connection {connection_id} owes {-quantity} {currency} and has {available} available"
        return None

    def _net(self, settlement_id: str) -> Counter[tuple[str, str]]:
        rows = self._database.execute(
            "SELECT connection_id, counterparty_id, currency, quantity FROM settlement_transfers"
            " WHERE settlement_id = ? AND status <> 'disputed'",
            (settlement_id,),
        )
        return net(Transfer(row[0], row[1], row[2], int(row[3])) for row in rows)

    def _set(self, settlement_id: str, status: SettlementStatus, reason: str | None = None) -> Settlement:
        now = now_milliseconds()
        self._database.execute(
            "UPDATE settlements SET status = ?, reason = ?, updated_at = ?, finalized_at = ? WHERE settlement_id = ?",
            (status, reason, now, now if status in FINAL else None, settlement_id),
        )
        self._database.execute(
            "UPDATE settlement_transfers SET status = :status, updated_at = :now"
            " WHERE settlement_id = :settlement_id AND (status <> 'disputed' OR :status <> 'completed')",
            {"status": status, "now": now, "settlement_id": settlement_id},
        )
        if status == "rejected":
            self._hand_back(settlement_id)
        settlement = self.get(settlement_id)
        assert settlement is not None  # noqa: S101 - updated a moment ago, in this transaction
        return settlement

    def _check_open(self, settlement_id: str) -> None:
        settlement = self.get(settlement_id)
        if settlement is None or settlement.status in FINAL:
            raise ConflictError(f"the settlement is {settlement.status if settlement else 'not known'}")

    def _one(self, statement: str, value: str) -> Settlement | None:
        row = self._database.execute(statement, (value,)).fetchone()
        return Settlement(**dict(row)) if row else None


def net(transfers: Iterable[Transfer]) -> Counter[tuple[str, str]]:
    """What each connection gains or loses of each currency."""
    total: Counter[tuple[str, str]] = Counter()
    for each in transfers:
        total[each.connection_id, each.currency] += each.quantity
        if each.counterparty_id is not None:
            total[each.counterparty_id, each.currency] -= each.quantity
    return total


def add_transfers(
    database: sqlite3.Connection,
    transfers: Iterable[Transfer],
    settlement_id: str | None = None,
    closure_id: str | None = None,
) -> None:
    """Those of a settlement are pending, those of a closed dispute wait for one."""
    status, now = "pending" if settlement_id else "pending_settlement_assignment", now_milliseconds()
    database.executemany(
        "INSERT INTO settlement_transfers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                str(uuid.uuid4()),
                settlement_id,
                closure_id,
                each.connection_id,
                each.counterparty_id,
                each.currency,
                str(each.quantity),
                status,
                now,
                now,
            )
            for each in transfers
        ],
    )
