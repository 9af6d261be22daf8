"""The bodies of refusals, and what else is ours alone (contract, section 8)."""

import uuid
from typing import Final

from bitgo.conformance import expect
from bitgo.conformance.check import Group, Need
from bitgo.conformance.expect import Expected
from bitgo.conformance.probe import JSON, Probe, encoded
from bitgo.conformance.sources import RFC_PREFER, RFC_PROBLEM
from bitgo.conformance.wire import Answer
from schemas.words import Kind, Status, Verb

GROUP: Final = Group("problem", "The words of refusals", "8", RFC_PROBLEM, (Need.UNPUBLISHED,))
A, D = Kind.ALLOCATION, Kind.DEALLOCATION


def problem(status: int, code: str, now: Status | None = None) -> Expected:
    expected = expect.status(status) & expect.content_type("application/problem+json")
    expected &= expect.member("status", equals=status) & expect.member("code", equals=code)
    for name in ("type", "title", "detail"):
        expected &= expect.text_member(name)
    expected &= expect.that('"error" as "detail"', lambda answer: answer.field("error") == answer.field("detail"))
    if now is None:
        return expected & expect.absent("allocationStatus")
    return expected & expect.member("allocationStatus", equals=str(now))


@GROUP.check(1, "401")
async def unauthorized(probe: Probe) -> None:
    await probe.reserve(A, probe.body(A), problem(401, "unauthorized"), signed_by_bitgo=False)


@GROUP.check(2, "400 lists the fields that are wrong")
async def bad_request(probe: Probe) -> None:
    def names(answer: Answer) -> bool:
        errors = answer.field("errors")
        return isinstance(errors, list) and any("clientId" in str(each.get("field")) for each in errors)

    listed = expect.that('"errors" names clientId', names)
    await probe.reserve(A, probe.body(A) | {"clientId": "no"}, problem(400, "bad_request") & listed)


@GROUP.both_kinds(3, "404 not_found for clear and release of an unknown {kind}")
async def not_found(probe: Probe, kind: Kind) -> None:
    for verb in (Verb.CLEAR, Verb.RELEASE):
        await probe.finish(kind, verb, str(uuid.uuid4()), problem(404, "not_found"))


@GROUP.both_kinds(4, "409 already_cleared and already_released of {a_kind}, with its status")
async def finished(probe: Probe, kind: Kind) -> None:
    cleared = await probe.bring(kind, Status.CLEARED)
    refused = problem(409, "already_cleared", Status.CLEARED)
    await probe.finish(kind, Verb.RELEASE, cleared[f"{kind}Id"], refused)
    released = await probe.bring(kind, Status.RELEASED)
    refused = problem(409, "already_released", Status.RELEASED)
    await probe.finish(kind, Verb.CLEAR, released[f"{kind}Id"], refused)


@GROUP.check(5, "409 already_rejected of a deallocation, with its status")
async def rejected(probe: Probe) -> None:
    body = await probe.bring(D, Status.REJECTED)
    await probe.finish(D, Verb.CLEAR, body["deallocationId"], problem(409, "already_rejected", Status.REJECTED))


@GROUP.both_kinds(6, "409 already_released of {a_kind} whose release came first, without a status")
async def overtaken(probe: Probe, kind: Kind) -> None:
    body = probe.body(kind)
    await probe.finish(kind, Verb.RELEASE, body[f"{kind}Id"], problem(404, "not_found"))
    await probe.reserve(kind, body, problem(409, "already_released"))


@GROUP.both_kinds(7, "409 different_content of {a_kind}, with its status")
async def different_content(probe: Probe, kind: Kind) -> None:
    body = await probe.bring(kind, Status.RESERVED)
    changed = body | {"clientId": str(uuid.uuid4())}
    await probe.reserve(kind, changed, problem(409, "different_content", Status.RESERVED))


@GROUP.check(8, "insufficient_balance is why a deallocation is rejected", section="3")
async def insufficient_balance(probe: Probe) -> None:
    body = probe.body(D, amount=probe.beyond_all_balances)
    reason = expect.member("rejectionReason", equals="insufficient_balance")
    await probe.reserve(D, body, probe.rejected & reason)


@GROUP.check(11, "Prefer: respond-async is 202 with a Location that waits for the outcome", source=RFC_PREFER)
async def respond_async(probe: Probe) -> None:
    body = probe.body(A)
    headers = JSON | {"Prefer": "respond-async"}
    accepted = expect.status(202) & expect.that("a Location", lambda answer: "Location" in answer.headers)
    url = probe.path(A, Verb.RESERVE)
    answer = await probe.send("POST", url, accepted, headers=headers, body=encoded(body))
    location = answer.headers["Location"]
    await probe.send("GET", f"{probe.terms.url}{location}" if location.startswith("/") else location, expect.RESERVED)
