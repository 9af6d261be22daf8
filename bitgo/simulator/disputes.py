"""Disputes: a client contests its part of a pending settlement, takes that back, or BitGo closes the dispute."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from bitgo.simulator.entries import now_milliseconds
from bitgo.simulator.ledger import Ledger
from bitgo.simulator.settlements import ConflictError, Transfer, add_transfers


@dataclass(frozen=True)
class Dispute:
    dispute_id: str
    settlement_id: str
    connection_id: str
    user_id: str
    reason: str | None
    expected_transfers: str
    retracted_at: int | None
    retracted_reason: str | None
    closure_id: str | None
    settled_in: str | None
    created_at: int
    updated_at: int


class Disputes:
    """Amounts are signed base units by currency. Each change raises ConflictError when it comes too late."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._database = ledger.database

    def get(self, dispute_id: str) -> Dispute | None:
        row = self._database.execute("SELECT * FROM disputes WHERE dispute_id = ?", (dispute_id,)).fetchone()
        return Dispute(**dict(row)) if row else None

    def open(
        self, settlement_id: str, connection_id: str, reason: str | None, expected_transfers: Mapping[str, int]
    ) -> Dispute:
        dispute_id, now = str(uuid.uuid4()), now_milliseconds()
        with self._ledger.transaction() as database:
            connection = self._ledger.connection(connection_id)
            if connection is None or not self._takes_part(settlement_id, connection_id):
                raise ConflictError("the connection takes no part in this settlement")
            if self._status(settlement_id) != "pending":
                raise ConflictError("only a pending settlement can be disputed")
            if self._is_disputed(settlement_id, connection_id):
                raise ConflictError("the connection disputes this settlement already")
            expected = json.dumps({currency: str(quantity) for currency, quantity in expected_transfers.items()})
            database.execute(
                "INSERT INTO disputes VALUES (?, ?, ?, ?, ?, ?, NULL, NULL, NULL, NULL, ?, ?)",
                (dispute_id, settlement_id, connection_id, connection.client_id, reason, expected, now, now),
            )
            return self._there(dispute_id)

    def retract(self, dispute_id: str, reason: str | None) -> Dispute:
        with self._ledger.transaction() as database:
            dispute = self._there(dispute_id)
            if dispute.retracted_at is not None or dispute.closure_id is not None:
                raise ConflictError("the dispute is retracted or closed already")
            if self._status(dispute.settlement_id) != "pending":
                raise ConflictError("the settlement is not pending any more")
            now = now_milliseconds()
            database.execute(
                "UPDATE disputes SET retracted_at = ?, retracted_reason = ?, updated_at = ? WHERE dispute_id = ?",
                (now, reason, now, dispute_id),
            )
            return self._there(dispute_id)

    def close(self, dispute_id: str, notes: str, transfers: Mapping[str, int]) -> Dispute:
        """After the settlement: `transfers` is what the connection gains or loses in the next one instead."""
        closure_id, now = str(uuid.uuid4()), now_milliseconds()
        with self._ledger.transaction() as database:
            dispute = self._there(dispute_id)
            if dispute.retracted_at is not None or dispute.closure_id is not None:
                raise ConflictError("the dispute is retracted or closed already")
            if self._status(dispute.settlement_id) != "completed":
                raise ConflictError("a dispute is closed after its settlement was completed without it")
            database.execute("INSERT INTO dispute_closures VALUES (?, ?, ?)", (closure_id, notes, now))
            database.execute(
                "UPDATE disputes SET closure_id = ?, updated_at = ? WHERE dispute_id = ?", (closure_id, now, dispute_id)
            )
            rest = [Transfer(dispute.connection_id, None, currency, each) for currency, each in transfers.items()]
            add_transfers(database, rest, closure_id=closure_id)
            return self._there(dispute_id)

    def _there(self, dispute_id: str) -> Dispute:
        dispute = self.get(dispute_id)
        if dispute is None:
            raise ConflictError("the dispute is not known")
        return dispute

    def _status(self, settlement_id: str) -> str | None:
        row = self._database.execute(
            "SELECT status FROM settlements WHERE settlement_id = ?", (settlement_id,)
        ).fetchone()
        return str(row["status"]) if row else None

    def _is_disputed(self, settlement_id: str, connection_id: str) -> bool:
        row = self._database.execute(
            "SELECT 1 FROM disputes WHERE settlement_id = ? AND connection_id = ? AND retracted_at IS NULL",
            (settlement_id, connection_id),
        ).fetchone()
        return row is not None

    def _takes_part(self, settlement_id: str, connection_id: str) -> bool:
        row = self._database.execute(
            "SELECT 1 FROM settlement_transfers WHERE settlement_id = ? AND ? IN (connection_id, counterparty_id)",
            (settlement_id, connection_id),
        ).fetchone()
        return row is not None
