"""An allocation of either kind in BitGo's read shape (contract, section 5).

BitGo's `pending` (no answer of the partner is known) reads as reserved, `rejected` as released. Chosen: without a
clientExternalId the id itself, without a user the client; policyResult and evaluationId are absent, for no policy of
BitGo is played.
"""

from typing import Any, Final, Literal

from bitgo.simulator.entries import Allocation
from bitgo.simulator.timestamps import iso
from schemas.answers import ReadAllocation, ReadAmount

ReadStatus = Literal["reserved", "cleared", "released"]

LEDGER_STATUSES: Final[dict[str, list[str]]] = {
    "reserved": ["pending", "reserved"],
    "cleared": ["cleared"],
    "released": ["released", "rejected"],
}
_READ_STATUSES: Final[dict[str, ReadStatus]] = {
    "pending": "reserved",
    "reserved": "reserved",
    "cleared": "cleared",
    "released": "released",
    "rejected": "released",
}
_REASONS: Final = {
    "pending": "waiting for the partner to answer",
    "reserved": "reserved by the partner, not cleared yet",
    "released": "released by BitGo",
    "rejected": "rejected by the partner",
}


def read_shape(allocation: Allocation, client_id: str, *, is_deferred: bool) -> dict[str, Any]:
    status = _READ_STATUSES[allocation.status]
    return ReadAllocation(
        id=allocation.allocation_id,
        amount=ReadAmount(currency=allocation.currency, quantity=str(allocation.quantity)),
        connection_id=allocation.connection_id,
        client_external_id=allocation.client_external_id or allocation.allocation_id,
        partner_external_id=allocation.partner_allocation_id or None,
        initiated_by=allocation.initiated_by or client_id,
        notes=allocation.notes or None,
        created_at=iso(allocation.created_at),
        updated_at=iso(allocation.updated_at),
        retriable=status == "reserved" and not is_deferred,
        reason=None if status == "cleared" else allocation.reason or _REASONS[allocation.status],
        status=status,
        type=allocation.kind,
    ).document()
