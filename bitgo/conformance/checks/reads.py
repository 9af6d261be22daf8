"""One allocation in BitGo's read shape (contract, section 5)."""

import re
import uuid
from typing import Any, Final

from bitgo.conformance import expect
from bitgo.conformance.check import Group, Need
from bitgo.conformance.expect import Expected
from bitgo.conformance.probe import Probe
from bitgo.conformance.sources import CONTRACT, OPENAPI, SEED_READ
from bitgo.conformance.wire import Answer
from schemas.words import Kind, Status, Verb

GROUP: Final = Group("read", "Reading one allocation or deallocation", "5", SEED_READ, (Need.ENTERPRISE,))
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_TEXTS: Final = ("id", "connectionId", "clientExternalId", "initiatedBy", "createdAt", "updatedAt", "status", "type")
_OPTIONAL: Final = ("partnerExternalId", "notes", "evaluationId", "pendingApprovalId", "policyResult")
_WORDS: Final = {
    "status": ("reserved", "cleared", "released"),
    "type": ("allocation", "deallocation"),
    "policyResult": ("approved", "rejected"),
}


def shape_miss(found: Any) -> str | None:
    """What of BitGo's schema an allocation breaks."""
    if not isinstance(found, dict):
        return 'there is no object "allocation"'
    problems = [f'"{name}" must be a text that is not empty' for name in _TEXTS if not _is_text(found.get(name))]
    problems += [
        f'"{name}" must be absent, or a text that is not empty'
        for name in _OPTIONAL
        if name in found and not _is_text(found[name])
    ]
    problems += [
        f'"{name}" must be one of {words}' for name, words in _WORDS.items() if found.get(name, words[0]) not in words
    ]
    problems += [
        f'"{name}" must be an ISO 8601 date and time'
        for name in ("createdAt", "updatedAt")
        if not _INSTANT.fullmatch(str(found.get(name)))
    ]
    amount = found.get("amount")
    if not (isinstance(amount, dict) and _is_text(amount.get("currency")) and isinstance(amount.get("quantity"), str)):
        problems.append('"amount" must have a currency, and a quantity that is a string')
    if not isinstance(found.get("retriable"), bool):
        problems.append('"retriable" must be true or false')
    if "reason" not in found or not (found["reason"] is None or _is_text(found["reason"])):
        problems.append('"reason" must be there: null, or a text that is not empty')
    return "; ".join(problems) or None


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


SHAPE: Final = expect.status(200) & Expected(
    "BitGo's read shape", lambda answer: shape_miss(answer.field("allocation"))
)


def read_of(kind: Kind, body: dict[str, Any], status: str) -> Expected:
    return (
        SHAPE
        & expect.member("allocation", "id", equals=body[f"{kind}Id"])
        & expect.member("allocation", "type", equals=str(kind))
        & expect.member("allocation", "status", equals=status)
        & expect.member("allocation", "connectionId", equals=body["connectionId"])
        & expect.member("allocation", "amount", "currency", equals=body["amount"]["currency"])
        & expect.member("allocation", "amount", "quantity", equals=str(body["amount"]["quantity"]))
    )


def _answered(answer: Answer) -> Any:
    return answer.field("allocation")


REASON: Final = expect.text_member("allocation", "reason")
NO_REASON: Final = expect.that('"reason": null', lambda answer: _answered(answer)["reason"] is None)
RETRIABLE: Final = expect.member("allocation", "retriable", equals=True)
NOT_RETRIABLE: Final = expect.member("allocation", "retriable", equals=False)


@GROUP.both_kinds(1, "a reserved {kind} reads as reserved, with a reason", source=OPENAPI)
async def reserved(probe: Probe, kind: Kind) -> None:
    body = await probe.bring(kind, Status.RESERVED)
    await probe.send("GET", probe.network_path(body[f"{kind}Id"]), read_of(kind, body, "reserved") & REASON)


@GROUP.both_kinds(2, "a cleared {kind} reads as cleared, without a reason, not retriable", source=OPENAPI)
async def cleared(probe: Probe, kind: Kind) -> None:
    body = await probe.bring(kind, Status.CLEARED)
    expected = read_of(kind, body, "cleared") & NO_REASON & NOT_RETRIABLE
    await probe.send("GET", probe.network_path(body[f"{kind}Id"]), expected)


@GROUP.both_kinds(3, "a released {kind} reads as released, with a reason, not retriable", source=OPENAPI)
async def released(probe: Probe, kind: Kind) -> None:
    body = await probe.bring(kind, Status.RELEASED)
    expected = read_of(kind, body, "released") & REASON & NOT_RETRIABLE
    await probe.send("GET", probe.network_path(body[f"{kind}Id"]), expected)


@GROUP.check(4, "a rejected deallocation reads as released, with a reason, not retriable")
async def rejected(probe: Probe) -> None:
    body = await probe.bring(Kind.DEALLOCATION, Status.REJECTED)
    expected = read_of(Kind.DEALLOCATION, body, "released") & REASON & NOT_RETRIABLE
    await probe.send("GET", probe.network_path(body["deallocationId"]), expected)


@GROUP.check(5, "a rejected allocation reads as released, with a reason, not retriable", needs=[Need.REJECTION])
async def rejected_allocation(probe: Probe) -> None:
    body = await probe.bring(Kind.ALLOCATION, Status.REJECTED)
    expected = read_of(Kind.ALLOCATION, body, "released") & REASON & NOT_RETRIABLE
    await probe.send("GET", probe.network_path(body["allocationId"]), expected)


@GROUP.both_kinds(6, "updatedAt of {a_kind} moves on a transition and not on a repeat; createdAt never")
async def times(probe: Probe, kind: Kind) -> None:
    body = await probe.bring(kind, Status.RESERVED)
    url = probe.network_path(body[f"{kind}Id"])
    first = _answered(await probe.send("GET", url, SHAPE))
    await probe.reserve(kind, body, expect.RESERVED)
    unchanged = SHAPE & expect.member("allocation", "updatedAt", equals=first["updatedAt"])
    await probe.send("GET", url, unchanged & expect.member("allocation", "createdAt", equals=first["createdAt"]))
    await probe.finish(kind, Verb.CLEAR, body[f"{kind}Id"], expect.CLEARED)
    later = expect.that("an updatedAt that is not before the first", lambda each: not _before(each, first))
    created = expect.member("allocation", "createdAt", equals=first["createdAt"])
    await probe.send("GET", url, SHAPE & created & later)


def _before(answer: Answer, first: dict[str, Any]) -> bool:
    return str(_answered(answer)["updatedAt"]) < str(first["updatedAt"])


@GROUP.check(7, "what a reserve supplies as notes, clientExternalId and initiatedBy is read back")
async def supplied(probe: Probe) -> None:
    given = {"notes": "a note", "clientExternalId": "order-7", "initiatedBy": "user-1"}
    body = probe.body(Kind.ALLOCATION) | given
    await probe.reserve(Kind.ALLOCATION, body, expect.RESERVED)
    expected = SHAPE
    for name, value in given.items():
        expected &= expect.member("allocation", name, equals=value)
    await probe.send("GET", probe.network_path(body["allocationId"]), expected)


ERROR: Final = expect.text_member("error")


@GROUP.check(11, 'an unknown id is 404 {"error"}', source=OPENAPI)
async def unknown(probe: Probe) -> None:
    await probe.send("GET", probe.network_path(str(uuid.uuid4())), expect.NOT_FOUND & ERROR)


@GROUP.check(12, "an id whose release came first is 404: it is no allocation", source=CONTRACT)
async def tombstone(probe: Probe) -> None:
    of_id = str(uuid.uuid4())
    await probe.finish(Kind.ALLOCATION, Verb.RELEASE, of_id, expect.REFUSED)
    await probe.send("GET", probe.network_path(of_id), expect.NOT_FOUND & ERROR)


@GROUP.check(13, "an id that is no UUID is 400 {}", source=OPENAPI)
async def no_uuid(probe: Probe) -> None:
    await probe.send("GET", probe.network_path("42"), EMPTY_400)


EMPTY_400: Final = expect.BAD_REQUEST & expect.that("the body {}", lambda answer: answer.document == {})


@GROUP.check(14, 'a foreign enterprise is 404 {"error"}', source=OPENAPI)
async def foreign_enterprise(probe: Probe) -> None:
    body = await probe.bring(Kind.ALLOCATION, Status.RESERVED)
    url = probe.network_path(body["allocationId"], f"{probe.terms.enterprise_id}-other")
    await probe.send("GET", url, expect.NOT_FOUND & ERROR)


@GROUP.check(15, 'a read without a token, or with a wrong one, is 401 {"error"}', section="4", source=OPENAPI)
async def unauthorized(probe: Probe) -> None:
    body = await probe.bring(Kind.ALLOCATION, Status.RESERVED)
    url = probe.network_path(body["allocationId"])
    await probe.send("GET", url, expect.UNAUTHORIZED & ERROR, signed_by_bitgo=False)
    await probe.send("GET", url, expect.UNAUTHORIZED & ERROR, token=probe.wrong_token("other-key"))
