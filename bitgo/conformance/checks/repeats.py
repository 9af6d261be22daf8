"""The same thing once more, and the same id with other content (contract, section 3)."""

import uuid
from typing import Any, Final

from bitgo.conformance import expect
from bitgo.conformance.check import Group, Need
from bitgo.conformance.probe import Probe
from bitgo.conformance.sources import CONTRACT, GUIDE_DEALLOCATE, SEED_ALLOCATE
from schemas.words import Kind, Status, Verb

GROUP: Final = Group("repeat", "Repeats, and other content under the same id", "3", GUIDE_DEALLOCATE)
TIMES: Final = 4


@GROUP.both_kinds(1, f"{TIMES} reserves of one {{kind}} are answered alike", source=SEED_ALLOCATE)
async def reserves(probe: Probe, kind: Kind) -> None:
    body = await probe.bring(kind, None)
    first = await probe.reserve(kind, body, expect.RESERVED)
    alike = expect.RESERVED & expect.that("the answer of the first", lambda answer: answer.document == first.document)
    for _ in range(TIMES - 1):
        await probe.reserve(kind, body, alike)


@GROUP.both_kinds(2, f"{TIMES} clears of one {{kind}} are answered alike")
async def clears(probe: Probe, kind: Kind) -> None:
    body = await probe.bring(kind, Status.RESERVED)
    for _ in range(TIMES):
        await probe.finish(kind, Verb.CLEAR, body[f"{kind}Id"], expect.CLEARED)


@GROUP.both_kinds(3, f"{TIMES} releases of one {{kind}} are answered alike")
async def releases(probe: Probe, kind: Kind) -> None:
    body = await probe.bring(kind, Status.RESERVED)
    for _ in range(TIMES):
        await probe.finish(kind, Verb.RELEASE, body[f"{kind}Id"], expect.RELEASED)


def _other_content(probe: Probe, body: dict[str, Any]) -> dict[str, dict[str, Any]]:
    amount = body["amount"]
    return {
        "quantity": {"amount": amount | {"quantity": probe.quantity(probe.terms.amount.quantity + 1)}},
        "currency": {"amount": amount | {"currency": probe.terms.other_currency}},
        "currency in lower case": {"amount": amount | {"currency": amount["currency"].swapcase()}},
        "clientId": {"clientId": str(uuid.uuid4())},
        "connectionId": {"connectionId": str(uuid.uuid4())},
        "partnersConnectionId": {"partnersConnectionId": f"{body['partnersConnectionId']}-other"},
    }


@GROUP.both_kinds(4, "other content under the id of a reserved {kind} is 409, and changes nothing")
async def other_content(probe: Probe, kind: Kind) -> None:
    body = await probe.bring(kind, Status.RESERVED)
    for changes in _other_content(probe, body).values():
        await probe.reserve(kind, body | changes, expect.CONFLICT)
    await probe.still(kind, body, Status.RESERVED)


@GROUP.both_kinds(5, "other content under the id of a finished {kind} is 409, whatever its status", source=CONTRACT)
async def other_content_later(probe: Probe, kind: Kind) -> None:
    for status in (Status.CLEARED, Status.RELEASED):
        body = await probe.bring(kind, status)
        amount = body["amount"] | {"quantity": probe.quantity(probe.terms.amount.quantity + 1)}
        await probe.reserve(kind, body | {"amount": amount}, expect.CONFLICT)
        await probe.still(kind, body, status)


@GROUP.both_kinds(6, "what is not the content of the {kind} may differ in a repeat", source=CONTRACT)
async def not_content(probe: Probe, kind: Kind) -> None:
    body = await probe.bring(kind, Status.RESERVED)
    changes: dict[str, Any] = {"notes": "another note", "initiatedBy": "somebody", "addedByBitGo": 1}
    await probe.reserve(kind, body | changes, expect.RESERVED)


@GROUP.check(7, "a repeat answers the partner id of the first reserve, whatever it sends itself", source=CONTRACT)
async def stored_partner_id(probe: Probe) -> None:
    kind = Kind.ALLOCATION
    name = "partnersAllocationId" if probe.terms.edition == "later" else "partnerAllocationId"
    body = await probe.bring(kind, Status.RESERVED)
    stored = expect.RESERVED & expect.member(name, equals=body[name])
    await probe.reserve(kind, body | {name: str(uuid.uuid4())}, stored)


@GROUP.check(8, "a rejected deallocation stays rejected, even when it would pass today", needs=[Need.OWN_ACCOUNT])
async def stays_rejected(probe: Probe) -> None:
    kind, quantity = Kind.DEALLOCATION, probe.terms.amount.quantity
    body = probe.body(kind)
    await probe.reserve(kind, body, probe.rejected)
    await probe.fund(body, 2 * quantity)
    await probe.reserve(kind, body, probe.rejected)
    again = body | {"deallocationId": str(uuid.uuid4())}
    await probe.reserve(kind, again, expect.RESERVED)


@GROUP.both_kinds(9, "a released {kind} that is issued again counts as reserved, and finishes once more")
async def issued_again(probe: Probe, kind: Kind) -> None:
    probe.only_if_issued_again(kind)
    body = await probe.bring(kind, Status.RELEASED)
    await probe.reserve(kind, body, expect.RESERVED)
    await probe.reserve(kind, body, expect.RESERVED)
    await probe.finish(kind, Verb.CLEAR, body[f"{kind}Id"], expect.CLEARED)
    await probe.reserve(kind, body, expect.CLEARED)
