"""What the partner in memory answers: the fields of reserve, BitGo's read shape, and the filters of the list."""

import re
from collections.abc import Mapping
from typing import Any

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
FILTERS = {
    "allocationIds": "id",
    "types": "type",
    "statuses": "status",
    "connectionIds": "connectionId",
    "clientIds": "initiatedBy",
    "currencies": "currency",
}
WORDS = {"types": {"allocation", "deallocation"}, "statuses": {"reserved", "cleared", "released"}}
PAGE = {"pageNumber": (0, 0, 10**6), "pageSize": (100, 1, 500)}
"""Default, least and most."""


def is_uuid(text: str) -> bool:
    return UUID.fullmatch(text) is not None


def write_shape(row: Any, body: Any, quantity: int, faults: frozenset[str]) -> dict[str, Any]:
    """In the edition of `body`: of the reserve that is answered, or of the one that made the row."""
    edition = body.edition
    spelling, client = edition.partner_id_spelling, edition.client_id_spelling
    if "answers in another edition" in faults:
        spelling, client = "partners", "partnersClientId"
    with_reason = row.reason and "no reason for a rejection" not in faults
    return {
        f"{row.kind}Id": body.id,
        "amount": {
            "currency": body.amount.currency,
            "quantity": quantity if edition.quantity_form == "number" else str(quantity),
        },
        "clientId": body.client_id,
        "connectionId": body.connection_id,
        "partnersConnectionId": body.partners_connection_id,
        f"{spelling}{row.kind.capitalize()}Id": row.body.partner_id or f"made-{body.id}",
        "status": row.status,
        **({client: body.sent_client_id} if body.sent_client_id is not None else {}),
        **({"rejectionReason": row.reason} if with_reason else {}),
    }


def read_shape(row: Any, faults: frozenset[str]) -> dict[str, Any]:
    body = row.body
    quantity = body.amount.quantity.base_units
    as_released = row.status == "rejected" and "reads rejected as rejected" not in faults
    return {
        "id": body.id,
        "amount": {
            "currency": body.amount.currency,
            "quantity": quantity if "reads quantities as numbers" in faults else str(quantity),
        },
        "connectionId": body.connection_id,
        "clientExternalId": body.client_external_id or body.id,
        "initiatedBy": body.initiated_by or body.client_id,
        **({"notes": body.notes} if body.notes else {}),
        "createdAt": row.created,
        "updatedAt": row.updated,
        "retriable": row.status == "reserved",
        "reason": None if row.status == "cleared" else row.reason or f"it is {row.status}",
        "status": "released" if as_released else row.status,
        "type": row.kind,
    }


def chosen(rows: list[dict[str, Any]], query: Mapping[str, str], faults: frozenset[str]) -> list[dict[str, Any]]:
    """Raises ValueError for a query that is wrong."""
    unknown = set(query) - {*FILTERS, *PAGE, "sortField", "sortDirection"}
    if unknown and "ignores unknown parameters" not in faults:
        raise ValueError(unknown)
    for name in FILTERS.keys() & query.keys():
        values = query[name].lower().split(",") if name.endswith("Ids") else query[name].split(",")
        if (name.endswith("Ids") and not all(map(is_uuid, values))) or not set(values) <= WORDS.get(name, set(values)):
            raise ValueError(name)
        rows = [row for row in rows if str(row.get(FILTERS[name], row["amount"]["currency"])) in values]
    number, size = (_bounded(query, name, *PAGE[name]) for name in PAGE)
    direction = query.get("sortDirection", "ASC")
    field = query.get("sortField", "updatedAt")
    if direction not in ("ASC", "DESC") or field not in ("id", "updatedAt", "quantity"):
        raise ValueError(direction, field)
    rows = sorted(rows, key=lambda row: _rank(row, field), reverse=direction == "DESC")
    return rows[number * size : (number + 1) * size]


def _bounded(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    value = int(query.get(name, default))
    if not least <= value <= most:
        raise ValueError(name)
    return value


def _rank(row: dict[str, Any], field: str) -> Any:
    return int(row["amount"]["quantity"]) if field == "quantity" else row[field]
