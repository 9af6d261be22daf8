"""Answers from a journal row or an allocation (contract, sections 2, 3 and 8)."""

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from ingress.http.problems import REFUSALS, ProblemError, outcome_pending, unavailable
from ingress.postgres.rows import AllocationRow, Content, OutcomeRow
from schemas.commands import Reserve
from schemas.records import Position
from schemas.words import Kind, Outcome, Refusal, Status, Verb

COMMAND_ID: Final = "Command-Id"
LOG_POSITION: Final = "Log-Position"
VERSION: Final = "Allocation-Version"


def proof(command_id: str, position: Position) -> dict[str, str]:
    """The headers that say which record of the log an answer rests on (decision 12)."""
    return {COMMAND_ID: command_id, LOG_POSITION: str(position)}


def answer(row: OutcomeRow, position: Position, rejected_as: int, request: Reserve | None = None) -> web.Response:
    """The answer to a command, from its journal row. A reserve is answered in its own edition, with what it sent.

    Raises ProblemError for what is not a success.
    """
    headers = proof(row.command_id or "", position)
    check_parked(row, headers)
    if row.outcome is Outcome.REFUSED and row.reason == Refusal.NOT_FOUND:
        raise refused(Refusal.NOT_FOUND, headers)
    has_allocation = row.content is not None
    if has_allocation and row.version_after is not None:
        headers[VERSION] = str(row.version_after)
    if row.outcome is Outcome.REFUSED:
        raise refused(refusal_of(row, headers), headers, status=row.status_after if has_allocation else None)
    assert isinstance(row.content, Content) and isinstance(row.kind, Kind)  # noqa: S101, PT018
    content = _as_sent(row.content, request) if request else row.content
    document = allocation_document(row.kind, row.subject_id or "", content, row.status_after or "", row.reason)
    rejected = row.verb == Verb.RESERVE and row.status_after == Status.REJECTED
    return web.json_response(document, status=rejected_as if rejected else 200, headers=headers)


def check_parked(row: OutcomeRow, headers: Mapping[str, str]) -> None:
    """Raises ProblemError 500 when our own record was no command to the processor."""
    if row.outcome is Outcome.PARKED:
        raise ProblemError(500, "internal", "the record was parked: the fault is ours", headers)


def refusal_of(row: OutcomeRow, headers: Mapping[str, str]) -> Refusal:
    """Raises ProblemError `outcome_pending` for a word of a newer processor, which only a newer ingress can answer."""
    try:
        return Refusal(row.reason or "")
    except ValueError:
        raise outcome_pending(headers) from None


def refused(
    refusal: Refusal, headers: Mapping[str, str], *, detail: str | None = None, status: str | None = None
) -> ProblemError:
    """What a refusal of the machine is answered. `status`: the current one of an allocation."""
    if refusal is Refusal.EXPIRED:
        return unavailable("the command reached the log after its deadline and changed nothing; try again", headers)
    http_status, sentence = REFUSALS[refusal]
    return ProblemError(
        http_status,
        refusal,
        detail or sentence,
        headers,
        allocationStatus=status if http_status == 409 else None,  # noqa: PLR2004
    )


def _as_sent(stored: Content, request: Reserve) -> Content:
    return Content(
        currency=request.amount.currency,
        quantity=request.amount.quantity,
        client_id=request.client_id,
        connection_id=request.connection_id,
        partners_connection_id=request.partners_connection_id,
        partner_allocation_id=stored.partner_allocation_id,
        partner_client_id=request.partner_client_id,
        edition=request.edition,
    )


def current(row: AllocationRow) -> web.Response:
    """The body of the POST answer, as things stand now."""
    document = allocation_document(row.kind, row.allocation_id, row.content, row.status, row.rejection_reason)
    return web.json_response(document, headers={VERSION: str(row.version)})


def allocation_document(
    kind: Kind, allocation_id: str, content: Content, status: str, reason: str | None
) -> dict[str, Any]:
    """The fields of reserve in the edition's spelling, with the status (contract, section 2)."""
    edition, noun = content.edition, kind.capitalize()
    document: dict[str, Any] = {
        f"{kind}Id": allocation_id,
        "amount": {
            "currency": content.currency,
            "quantity": int(content.quantity) if edition.quantity_form == "number" else content.quantity,
        },
        "clientId": content.client_id,
        "connectionId": content.connection_id,
        "partnersConnectionId": content.partners_connection_id,
        f"{edition.partner_id_spelling}{noun}Id": content.partner_allocation_id,
    }
    if content.partner_client_id is not None:
        document[edition.client_id_spelling] = content.partner_client_id
    document["status"] = status
    if status == Status.REJECTED:
        document["rejectionReason"] = reason
    return document
