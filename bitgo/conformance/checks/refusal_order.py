"""Which refusal comes first when several apply (contract, section 3)."""

from typing import Final

from bitgo.conformance import expect
from bitgo.conformance.check import Group, Need
from bitgo.conformance.checks.unknown_ids import as_other, other
from bitgo.conformance.probe import JSON, Probe
from bitgo.conformance.sources import CONTRACT
from schemas.words import Kind, Status, Verb

GROUP: Final = Group("order", "The order of refusals", "3", CONTRACT)


@GROUP.both_kinds(1, "a wrong token and a wrong body of {a_kind}: 401", section="4")
async def token_first(probe: Probe, kind: Kind) -> None:
    url = probe.path(kind, Verb.RESERVE)
    wrong = probe.wrong_token("other-key")
    await probe.send("POST", url, expect.UNAUTHORIZED, token=wrong, headers=JSON, body=b"{}")
    await probe.send("POST", url, expect.UNAUTHORIZED, signed_by_bitgo=False, headers=JSON, body=b"{")


@GROUP.both_kinds(2, "a wrong token and an unknown {kind}: 401", section="4")
async def token_before_id(probe: Probe, kind: Kind) -> None:
    of_id = probe.body(kind)[f"{kind}Id"]
    for verb in (Verb.CLEAR, Verb.RELEASE):
        await probe.finish(kind, verb, of_id, expect.UNAUTHORIZED, token=probe.wrong_token("other-key"))


@GROUP.both_kinds(3, "a wrong body under the id of a finished {kind}: 400")
async def body_first(probe: Probe, kind: Kind) -> None:
    for status in (Status.RESERVED, Status.CLEARED, Status.RELEASED):
        body = await probe.bring(kind, status)
        await probe.reserve(kind, body | {"clientId": "no UUID"}, expect.BAD_REQUEST)
        await probe.still(kind, body, status)


@GROUP.both_kinds(4, "a wrong body under an id of the other kind than {kind}: 400")
async def body_before_index(probe: Probe, kind: Kind) -> None:
    body = await probe.bring(kind, Status.RESERVED)
    foreign = as_other(probe, kind, body) | {"amount": {"currency": "", "quantity": 1}}
    await probe.reserve(other(kind), foreign, expect.BAD_REQUEST)


@GROUP.both_kinds(5, "the id of {a_kind} under the other kind, with other content: id_in_use", needs=[Need.UNPUBLISHED])
async def index_before_content(probe: Probe, kind: Kind) -> None:
    body = await probe.bring(kind, Status.CLEARED)
    amount = body["amount"] | {"quantity": probe.quantity(probe.terms.amount.quantity + 1)}
    foreign = as_other(probe, kind, body) | {"amount": amount}
    await probe.reserve(other(kind), foreign, expect.CONFLICT & expect.member("code", equals="id_in_use"))


@GROUP.both_kinds(6, "other content under the id of a finished {kind}: different_content", needs=[Need.UNPUBLISHED])
async def content_before_table(probe: Probe, kind: Kind) -> None:
    for status in (Status.CLEARED, Status.RELEASED):
        body = await probe.bring(kind, status)
        other_amount = body["amount"] | {"quantity": probe.quantity(probe.terms.amount.quantity + 1)}
        expected = expect.CONFLICT & expect.member("code", equals="different_content")
        await probe.reserve(kind, body | {"amount": other_amount}, expected)
