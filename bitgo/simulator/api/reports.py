"""`PUT allocations` and `PUT deallocations`: what asynchronous partners report (contract, section 7).

A report of what is so already is 200, of another final status 409; 422 for what the partner was not asked to report,
and for a deallocation that is not covered. As published, the answer repeats the ids and the amount, and no status.
"""

from typing import Annotated, Any, Literal, Self

from aiohttp import web
from pydantic import Field, model_validator

from bitgo.simulator.api.app_keys import LEDGER, PARTNER
from bitgo.simulator.api.errors import ApiError
from bitgo.simulator.api.requests import Body, found, no_query, read_json, validated
from bitgo.simulator.api.signed import check_signature
from bitgo.simulator.entries import NEXT, Allocation, movement
from bitgo.simulator.ledger import Ledger
from schemas.fields import Currency, Digits, NonEmptyText, Uuid
from schemas.words import Kind

_ANSWERED = {"amount", "client_id", "connection_id", "partners_client_id", "partners_connection_id"}
_PAYLOAD_MAX_CHARACTERS = 64 * 1024


class Amount(Body):
    currency: Currency
    quantity: Digits


class Report(Body):
    amount: Amount
    client_id: Uuid
    connection_id: Uuid
    partners_client_id: NonEmptyText
    partners_connection_id: NonEmptyText
    status: Literal["cleared", "released"]
    reject_reason: NonEmptyText | None = None
    evaluation_id: NonEmptyText | None = None
    pending_approval_id: NonEmptyText | None = None
    policy_result: Literal["approved", "rejected"] | None = None
    nonce: NonEmptyText
    payload: Annotated[str, Field(min_length=1, max_length=_PAYLOAD_MAX_CHARACTERS)]
    signature: Annotated[str, Field(min_length=1, max_length=256)]

    @model_validator(mode="after")
    def _reason_fits(self) -> Self:
        if (self.status == "released") != (self.reject_reason is not None):
            raise ValueError("rejectReason goes with released, and only with it")
        return self


class AllocationReport(Report):
    allocation_id: Uuid
    partners_allocation_id: NonEmptyText


class DeallocationReport(Report):
    deallocation_id: Uuid
    partners_deallocation_id: NonEmptyText


async def report_allocation(request: web.Request) -> web.Response:
    no_query(request)
    _, document = await read_json(request)
    report = validated(AllocationReport, document)
    check_signature(request.app[PARTNER], document)
    ids = report.allocation_id, report.partners_allocation_id
    _apply(request, Kind.ALLOCATION, report, *ids)
    return web.json_response(_answer(report, {"allocation_id", "partners_allocation_id"}))


async def report_deallocation(request: web.Request) -> web.Response:
    no_query(request)
    _, document = await read_json(request)
    report = validated(DeallocationReport, document)
    check_signature(request.app[PARTNER], document)
    ids = report.deallocation_id, report.partners_deallocation_id
    _apply(request, Kind.DEALLOCATION, report, *ids)
    return web.json_response(_answer(report, {"deallocation_id", "partners_deallocation_id"}))


def _answer(report: Report, ids: set[str]) -> dict[str, Any]:
    return report.model_dump(mode="json", by_alias=True, include=_ANSWERED | ids)


def _apply(request: web.Request, kind: Kind, report: Report, allocation_id: str, partners_id: str) -> None:
    ledger, partner = request.app[LEDGER], request.app[PARTNER]
    with ledger.transaction():
        allocation = found(_of_kind(ledger.allocation(allocation_id), kind), str(kind))
        _check_content(ledger, allocation, report, partners_id)
        if report.status == ("released" if allocation.status == "rejected" else allocation.status):
            return
        if not (allocation.deferred or partner.is_asynchronous):
            raise ApiError(
                422, f"{kind} {allocation_id} was answered at once: its outcome is not the partner's to report"
            )
        if report.status not in NEXT[allocation.status]:
            raise ApiError(409, f"{kind} {allocation_id} is {allocation.status} already")
        _check_covered(ledger, allocation, report.status)
        ledger.set_status(allocation_id, report.status, report.reject_reason, partners_id)


def _of_kind(allocation: Allocation | None, kind: Kind) -> Allocation | None:
    return allocation if allocation is not None and allocation.kind is kind else None


def _check_content(ledger: Ledger, allocation: Allocation, report: Report, partners_id: str) -> None:
    connection = found(ledger.connection(allocation.connection_id), "connection")
    pairs = {
        "amount.currency": (allocation.currency, report.amount.currency),
        "amount.quantity": (str(allocation.quantity), report.amount.quantity),
        "connectionId": (allocation.connection_id, report.connection_id),
        "clientId": (connection.client_id, report.client_id),
        "partnersConnectionId": (connection.partners_connection_id, report.partners_connection_id),
        "partnersClientId": (connection.partners_client_id, report.partners_client_id),
        f"partners{allocation.kind.capitalize()}Id": (allocation.partner_allocation_id or partners_id, partners_id),
    }
    if others := [name for name, (ours, theirs) in pairs.items() if ours != theirs]:
        raise ApiError(409, f"{allocation.kind} {allocation.allocation_id} has another {', '.join(others)}")


def _check_covered(ledger: Ledger, allocation: Allocation, status: str) -> None:
    available, _ = movement(allocation.kind, allocation.status, status, allocation.quantity)
    if available < 0 and ledger.balance(allocation.connection_id, allocation.currency).available + available < 0:
        raise ApiError(422, f"{allocation.kind} {allocation.allocation_id} is over what the connection has allocated")
