"""Settlements, transfers and disputes in BitGo's shapes (contract, section 10; the rest from BitGo's OpenAPI file).

Chosen: a connection's network account has the connection's id, a client's and the partner's Go Account the client's and
the partner's; a transfer's destination is the connection that gains when its quantity is positive; `txIds` hold the
transfer's own id once it is completed.
"""

import json
import sqlite3
from collections.abc import Mapping
from typing import Any, Final

from bitgo.simulator.disputes import Dispute
from bitgo.simulator.ledger import Ledger
from bitgo.simulator.partner import Partner
from bitgo.simulator.settlements import Settlement
from bitgo.simulator.timestamps import iso
from service.sql import statements

SQL: Final = {name: text.decode() for name, text in statements("bitgo.simulator").items()}
ALL_TRANSFERS: Final[dict[str, Any]] = {
    "currencies": None,
    "source_network_account_ids": None,
    "source_trading_account_ids": None,
    "destination_network_account_ids": None,
    "destination_trading_account_ids": None,
    "limit": -1,
    "offset": 0,
}
_NO_DISPUTES: Final[dict[str, Any]] = {
    "settlement_ids": None,
    "settled_in_settlement_ids": None,
    "settlement_external_ids": None,
    "settled_in_settlement_external_ids": None,
    "connection_ids": None,
    "client_ids": None,
    "partner_ids": None,
    "dispute_ids": None,
    "dispute_closure_ids": None,
    "closed": None,
    "show_retracted": True,
    "limit": -1,
    "offset": 0,
}


def settlement_shape(ledger: Ledger, partner: Partner, settlement: Settlement) -> dict[str, Any]:
    with_disputes = settlement.version == 2  # noqa: PLR2004
    optional = {
        "notes": settlement.notes,
        "reason": settlement.reason,
        "finalizedAt": iso(settlement.finalized_at) if settlement.finalized_at is not None else None,
        "cutoffAt": iso(settlement.cutoff_at) if settlement.cutoff_at is not None else None,
        "disputed": _is_disputed(ledger, settlement.settlement_id) if with_disputes else None,
    }
    return {
        "id": settlement.settlement_id,
        "partnerId": partner.partner_id,
        "externalId": settlement.external_id,
        "status": settlement.status,
        "settlementType": "offchain",
        "reconciled": False,
        "initiatedBy": settlement.initiated_by,
        "createdAt": iso(settlement.created_at),
        "updatedAt": iso(settlement.updated_at),
        "lossSLAAlertSent": False,
        "gainSLAAlertSent": False,
    } | _present(optional)


def transfer_shapes(ledger: Ledger, partner: Partner, **parameters: Any) -> list[dict[str, Any]]:
    """Of one `settlement_id` or one `closure_id`; further parameters are filters and a page."""
    values = ALL_TRANSFERS | {"settlement_id": None, "closure_id": None, "partner_id": partner.partner_id} | parameters
    return [_transfer_shape(partner, row) for row in ledger.database.execute(SQL["list_transfers"], values)]


def dispute_shapes(ledger: Ledger, partner: Partner, **parameters: Any) -> list[dict[str, Any]]:
    values = _NO_DISPUTES | parameters | {"partner_id": partner.partner_id}
    rows = ledger.database.execute(SQL["list_disputes"], values).fetchall()
    return [dispute_shape(ledger, partner, Dispute(**dict(row))) for row in rows]


def dispute_shape(ledger: Ledger, partner: Partner, dispute: Dispute) -> dict[str, Any]:
    retracted = dispute.retracted_at is not None
    expected = json.loads(dispute.expected_transfers).items()
    optional = {
        "reason": dispute.reason,
        "settledInSettlementId": dispute.settled_in,
        "retractedBy": dispute.user_id if retracted else None,
        "retractedAt": iso(dispute.retracted_at) if dispute.retracted_at is not None else None,
        "retractedReason": dispute.retracted_reason,
        "disputeClosureId": dispute.closure_id,
        "disputeClosure": _closure_shape(ledger, partner, dispute.closure_id) if dispute.closure_id else None,
    }
    return {
        "id": dispute.dispute_id,
        "createdAt": iso(dispute.created_at),
        "updatedAt": iso(dispute.updated_at),
        "connectionId": dispute.connection_id,
        "disputedSettlementId": dispute.settlement_id,
        "userId": dispute.user_id,
        "expectedTransfers": {currency: partner.amount(currency, int(quantity)) for currency, quantity in expected},
        "retracted": retracted,
    } | _present(optional)


def _closure_shape(ledger: Ledger, partner: Partner, closure_id: str) -> dict[str, Any]:
    row = ledger.database.execute("SELECT * FROM dispute_closures WHERE closure_id = ?", (closure_id,)).fetchone()
    return {
        "id": closure_id,
        "closedBy": "admin",
        "userId": "simulator",
        "notes": row["notes"],
        "adjustedSettlementTransfers": transfer_shapes(ledger, partner, closure_id=closure_id),
        "createdAt": iso(row["created_at"]),
    }


def _transfer_shape(partner: Partner, row: sqlite3.Row) -> dict[str, Any]:
    optional = {
        "settlementId": row["settlement_id"],
        "disputeClosureId": row["closure_id"],
        "sourceNetworkAccountId": row["source_network_account_id"],
    }
    return {
        "id": row["transfer_id"],
        "createdAt": iso(row["created_at"]),
        "updatedAt": iso(row["updated_at"]),
        "currency": row["currency"],
        "quantity": partner.amount(row["currency"], int(row["quantity"])),
        "txIds": [row["transfer_id"]] if row["status"] == "completed" else [],
        "status": row["status"],
        "sourceTradingAccountId": row["source_trading_account_id"],
        "destinationTradingAccountId": row["destination_trading_account_id"],
        "destinationNetworkAccountId": row["destination_network_account_id"],
    } | _present(optional)


def _is_disputed(ledger: Ledger, settlement_id: str) -> bool:
    statement = "SELECT 1 FROM disputes WHERE settlement_id = ? AND retracted_at IS NULL"
    return ledger.database.execute(statement, (settlement_id,)).fetchone() is not None


def _present(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
