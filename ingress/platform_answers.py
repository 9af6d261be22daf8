"""Answers about connections and adjustments (contract, sections 6, 8 and 9)."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from aiohttp import web

from ingress.answers import check_parked, proof, refusal_of, refused
from ingress.http.problems import REFUSALS
from ingress.postgres.rows import AdjustmentRow, ConnectionContent, ConnectionRow, OutcomeRow
from schemas.commands import AdjustBalance
from schemas.records import Position
from schemas.words import ConnectionVerb, Outcome, Refusal, Subject

BOOKED: Final = "booked"
_SENTENCES: Final[Mapping[tuple[str, Refusal], str]] = {
    (Subject.CONNECTION, Refusal.NOT_FOUND): "there is no such connection",
    (Subject.CONNECTION, Refusal.DIFFERENT_CONTENT): "the connection was activated by another client or token",
    (Subject.ADJUSTMENT, Refusal.DIFFERENT_CONTENT): "the adjustment was booked with other content",
}
"""Where those of allocations do not fit."""


def check_outcome(row: OutcomeRow, headers: Mapping[str, str]) -> None:
    """Raises ProblemError for what is not a success."""
    check_parked(row, headers)
    if row.outcome is Outcome.REFUSED:
        reason = refusal_of(row, headers)
        known = REFUSALS.get(reason)
        raise refused(reason, headers, detail=_SENTENCES.get((row.kind or "", reason), known and known[1]))


def connection_answer(row: OutcomeRow, position: Position) -> web.Response:
    """The answer to a command on a connection. BitGo's own has four fields; people's has the status too."""
    headers = proof(row.command_id or "", position)
    check_outcome(row, headers)
    assert isinstance(row.content, ConnectionContent)  # noqa: S101 - it was activated, or this was refused
    document = _connection(row.subject_id or "", row.content)
    if row.verb != ConnectionVerb.ACTIVATE:
        document["status"] = row.status_after or ""
    return web.json_response(document, headers=headers)


def current_connection(row: ConnectionRow) -> web.Response:
    return web.json_response(_connection(row.connection_id, row.content) | {"status": row.status})


def _connection(connection_id: str, content: ConnectionContent) -> dict[str, str]:
    return {
        "clientId": content.client_id,
        "connectionId": connection_id,
        "partnersClientId": content.partners_client_id,
        "partnersConnectionId": content.partners_connection_id,
    }


def adjustment_answer(row: OutcomeRow, position: Position, content: AdjustBalance | AdjustmentRow) -> web.Response:
    """The answer to an adjustment that was booked, now or before. `content`: as it was sent, or is kept."""
    headers = proof(row.command_id or "", position)
    check_outcome(row, headers)
    return web.json_response(adjustment_document(content), headers=headers)


def current_adjustment(row: AdjustmentRow) -> web.Response:
    return web.json_response(adjustment_document(row))


def adjustment_document(content: AdjustBalance | AdjustmentRow) -> dict[str, Any]:
    """Quantities are strings of digits, whatever was sent; entries are in the order of their currencies."""
    entries: Iterable[tuple[str, str]]
    if isinstance(content, AdjustBalance):
        entries = ((entry.currency, entry.quantity) for entry in content.entries)
    else:
        entries = content.entries
    return {
        "adjustmentId": content.adjustment_id,
        "connectionId": content.connection_id,
        "reason": content.reason,
        "entries": [{"currency": currency, "quantity": quantity} for currency, quantity in entries],
        "status": BOOKED,
    }
