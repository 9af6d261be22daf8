"""What the answers look like (contract, section 2)."""

from decimal import Decimal, InvalidOperation
from typing import Any, Final

from bitgo.conformance import expect
from bitgo.conformance.check import Group, Need
from bitgo.conformance.expect import Expected
from bitgo.conformance.probe import JSON, Probe, encoded
from bitgo.conformance.sources import CONTRACT, GUIDE_DEALLOCATE, RFC_HTTP, SEED_ALLOCATE
from bitgo.conformance.wire import Answer
from schemas.strict_json import NumberLiteral
from schemas.words import Kind, Status, Verb

GROUP: Final = Group("shape", "What the answers look like", "2", SEED_ALLOCATE)
A: Final = Kind.ALLOCATION


def echo(body: dict[str, Any]) -> Expected:
    """The fields of a reserve that an answer gives back under the names that do not vary; amounts by value."""
    expected = expect.that("a JSON object", lambda answer: isinstance(answer.document, dict))
    for name in ("allocationId", "deallocationId", "clientId", "connectionId", "partnersConnectionId"):
        if name in body:
            expected &= expect.member(name, equals=body[name])
    return expected & expect.member("amount", "currency", equals=body["amount"]["currency"]) & _quantity(body)


def _quantity(body: dict[str, Any]) -> Expected:
    """By value only: in which form is a matter of the editions, and of the numbers."""
    value = int(body["amount"]["quantity"])

    def miss(answer: Answer) -> str | None:
        found = answer.field("amount", "quantity")
        text = found.text if isinstance(found, NumberLiteral) else str(found)
        try:
            same = Decimal(text) == value
        except InvalidOperation:
            same = False
        return None if same else f'"amount.quantity" is {expect.shown(found)}'

    return Expected(f'"amount.quantity": {value}', miss)


@GROUP.both_kinds(1, "a reserve of the {kind} is answered with its fields, as JSON")
async def reserve_echo(probe: Probe, kind: Kind) -> None:
    body = await probe.bring(kind, None)
    await probe.reserve(kind, body, expect.RESERVED & expect.content_type("application/json") & echo(body))


@GROUP.both_kinds(2, "a clear of the {kind} is answered with the fields of its reserve")
async def clear_echo(probe: Probe, kind: Kind) -> None:
    body = await probe.bring(kind, Status.RESERVED)
    await probe.finish(kind, Verb.CLEAR, body[f"{kind}Id"], expect.CLEARED & echo(body))


@GROUP.both_kinds(3, "a release of the {kind} is answered with the fields of its reserve", source=GUIDE_DEALLOCATE)
async def release_echo(probe: Probe, kind: Kind) -> None:
    body = await probe.bring(kind, Status.RESERVED)
    await probe.finish(kind, Verb.RELEASE, body[f"{kind}Id"], expect.RELEASED & echo(body))


@GROUP.check(4, "a rejected allocation is answered with a rejectionReason", source=CONTRACT, needs=[Need.REJECTION])
async def rejected_allocation(probe: Probe) -> None:
    body = await probe.bring(A, Status.REJECTED)
    await probe.reserve(A, body, probe.rejected & expect.text_member("rejectionReason") & echo(body))


@GROUP.check(5, "a rejected deallocation is answered with a rejectionReason", source=GUIDE_DEALLOCATE)
async def rejected_deallocation(probe: Probe) -> None:
    body = await probe.bring(Kind.DEALLOCATION, Status.REJECTED)
    await probe.reserve(Kind.DEALLOCATION, body, probe.rejected & expect.text_member("rejectionReason") & echo(body))


@GROUP.both_kinds(6, "a reserved {kind} is answered without a rejectionReason", source=GUIDE_DEALLOCATE)
async def no_reason(probe: Probe, kind: Kind) -> None:
    body = await probe.bring(kind, None)
    await probe.reserve(kind, body, expect.RESERVED & expect.absent("rejectionReason"))


@GROUP.both_kinds(7, "UUIDs of the {kind} are compared without regard to case, and answered in lower case")
async def uuids_in_upper_case(probe: Probe, kind: Kind) -> None:
    body = await probe.bring(kind, Status.RESERVED)
    upper = body | {name: body[name].upper() for name in (f"{kind}Id", "clientId", "connectionId")}
    await probe.reserve(kind, upper, expect.RESERVED & echo(body))
    await probe.finish(kind, Verb.CLEAR, upper[f"{kind}Id"], expect.CLEARED & echo(body))


@GROUP.check(8, "an unknown field of a reserve is ignored", source=CONTRACT)
async def unknown_field(probe: Probe) -> None:
    body = probe.body(A)
    await probe.reserve(A, body | {"addedByBitGo": {"deep": [1]}}, expect.RESERVED & expect.absent("addedByBitGo"))


@GROUP.check(9, "optional fields that are null count as absent", section="11", source=CONTRACT)
async def nulls(probe: Probe) -> None:
    optional = {"clientExternalId": None, "initiatedBy": None, "notes": None, "evaluationId": None}
    for name in (*optional, "pendingApprovalId", "partnerClientId", "partnerAllocationId"):
        body = {**probe.body(A, partnerClientId=None, partnersClientId=None), name: None}
        await probe.reserve(A, body, expect.RESERVED)


@GROUP.check(10, "optional fields that are texts are accepted", source=CONTRACT)
async def optional_fields(probe: Probe) -> None:
    names = ("clientExternalId", "initiatedBy", "notes", "evaluationId", "pendingApprovalId")
    await probe.reserve(A, probe.body(A) | dict.fromkeys(names, "some text"), expect.RESERVED)


@GROUP.check(11, "a reserve as application/json; charset=utf-8 is accepted", source=RFC_HTTP)
async def charset(probe: Probe) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    url = probe.path(A, Verb.RESERVE)
    await probe.send("POST", url, expect.RESERVED, headers=headers, body=encoded(probe.body(A)))


@GROUP.both_kinds(12, "a body of clear and release is ignored, whatever it is", source=CONTRACT)
async def ignored_body(probe: Probe, kind: Kind) -> None:
    for verb, done in ((Verb.CLEAR, expect.CLEARED), (Verb.RELEASE, expect.RELEASED)):
        body = await probe.bring(kind, Status.RESERVED)
        headers, text = (JSON, b"{}") if verb is Verb.CLEAR else ({"Content-Type": "text/plain"}, b"[not JSON")
        await probe.finish(kind, verb, body[f"{kind}Id"], done, headers=headers, body=text)


@GROUP.both_kinds(13, "the plural path of clear and release means the same", source=CONTRACT, needs=[Need.UNPUBLISHED])
async def plural_path(probe: Probe, kind: Kind) -> None:
    for verb, done in ((Verb.CLEAR, expect.CLEARED), (Verb.RELEASE, expect.RELEASED)):
        body = await probe.bring(kind, Status.RESERVED)
        url = probe.path(kind, verb, body[f"{kind}Id"]).replace(f"/{kind}/", f"/{kind}s/")
        await probe.send("PUT", url, done)


@GROUP.check(
    14,
    "a text of 256 characters from anywhere in the world comes back unharmed",
    source=CONTRACT,
    needs=[Need.OWN_ACCOUNT],
)
async def long_text(probe: Probe) -> None:
    name = "partnersClientId" if probe.terms.edition == "later" else "partnerClientId"
    body = probe.body(A) | {name: ("Zoë 東京 \U0001f680 " * 32)[:256]}
    await probe.reserve(A, body, expect.RESERVED & expect.member(name, equals=body[name]))
