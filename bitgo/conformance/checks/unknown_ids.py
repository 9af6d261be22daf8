"""Ids that the partner does not know, and ids of the other kind (contract, section 3)."""

import uuid
from typing import Any, Final

from bitgo.conformance import expect
from bitgo.conformance.check import Group, Need
from bitgo.conformance.probe import Probe
from bitgo.conformance.sources import CONTRACT, GUIDE_DEALLOCATE
from schemas.words import Kind, Status, Verb

GROUP: Final = Group("unknown", "Unknown ids, and ids of the other kind", "3", CONTRACT)


def other(kind: Kind) -> Kind:
    return Kind.DEALLOCATION if kind is Kind.ALLOCATION else Kind.ALLOCATION


def as_other(probe: Probe, kind: Kind, body: dict[str, Any]) -> dict[str, Any]:
    """A reserve of the other kind under the same id, with the same content."""
    names = ("amount", "connectionId", "clientId", "partnersConnectionId")
    return probe.body(other(kind), **{f"{other(kind)}Id": body[f"{kind}Id"]}, **{name: body[name] for name in names})


@GROUP.both_kinds(1, "a clear of an unknown {kind} is 404, as often as it is asked")
async def clear(probe: Probe, kind: Kind) -> None:
    of_id = str(uuid.uuid4())
    for _ in range(3):
        await probe.finish(kind, Verb.CLEAR, of_id, expect.NOT_FOUND)


@GROUP.both_kinds(2, "a clear of an unknown {kind} leaves nothing behind: a reserve works afterwards")
async def clear_then_reserve(probe: Probe, kind: Kind) -> None:
    body = await probe.bring(kind, None)
    await probe.finish(kind, Verb.CLEAR, body[f"{kind}Id"], expect.REFUSED)
    await probe.reserve(kind, body, expect.RESERVED)


@GROUP.both_kinds(3, "a release of an unknown {kind} is 404, as often as it is asked")
async def release(probe: Probe, kind: Kind) -> None:
    of_id = str(uuid.uuid4())
    for _ in range(3):
        await probe.finish(kind, Verb.RELEASE, of_id, expect.NOT_FOUND)


@GROUP.both_kinds(4, "a reserve that its release overtook is 409, under every setting", source=GUIDE_DEALLOCATE)
async def tombstone(probe: Probe, kind: Kind) -> None:
    body = await probe.bring(kind, None)
    await probe.finish(kind, Verb.RELEASE, body[f"{kind}Id"], expect.REFUSED)
    for _ in range(2):
        await probe.reserve(kind, body, expect.CONFLICT)


@GROUP.both_kinds(5, "clear and release of {a_kind} whose release came first stay 404, after the late reserve too")
async def tombstone_finished(probe: Probe, kind: Kind) -> None:
    body = await probe.bring(kind, None)
    await probe.finish(kind, Verb.RELEASE, body[f"{kind}Id"], expect.REFUSED)
    await probe.reserve(kind, body, expect.CONFLICT)
    for verb in (Verb.CLEAR, Verb.RELEASE, Verb.CLEAR):
        await probe.finish(kind, verb, body[f"{kind}Id"], expect.NOT_FOUND)


@GROUP.check(6, "what a late reserve of an overtaken deallocation asked for is not held", needs=[Need.OWN_ACCOUNT])
async def tombstone_holds_nothing(probe: Probe) -> None:
    kind, quantity = Kind.DEALLOCATION, probe.terms.amount.quantity
    body = probe.body(kind)
    await probe.fund(body, quantity)
    await probe.finish(kind, Verb.RELEASE, body["deallocationId"], expect.REFUSED)
    await probe.reserve(kind, body, expect.CONFLICT)
    await probe.reserve(kind, body | {"deallocationId": str(uuid.uuid4())}, expect.RESERVED)


@GROUP.both_kinds(11, "the id of {a_kind} under the other kind is 409: both share one index", source=GUIDE_DEALLOCATE)
async def id_in_use(probe: Probe, kind: Kind) -> None:
    body = await probe.bring(kind, Status.RESERVED)
    foreign = as_other(probe, kind, body)
    await probe.fund(foreign, probe.terms.amount.quantity)
    await probe.reserve(other(kind), foreign, expect.CONFLICT)
    await probe.still(kind, body, Status.RESERVED)


@GROUP.both_kinds(12, "clear and release of {a_kind} under the other kind's path are 404, and change nothing")
async def foreign_path(probe: Probe, kind: Kind) -> None:
    body = await probe.bring(kind, Status.RESERVED)
    for verb in (Verb.CLEAR, Verb.RELEASE):
        await probe.finish(other(kind), verb, body[f"{kind}Id"], expect.NOT_FOUND)
    await probe.still(kind, body, Status.RESERVED)


@GROUP.both_kinds(13, "the id of an overtaken {kind} is 409 under the other kind too")
async def tombstone_of_other_kind(probe: Probe, kind: Kind) -> None:
    body = await probe.bring(kind, None)
    await probe.finish(kind, Verb.RELEASE, body[f"{kind}Id"], expect.REFUSED)
    foreign = as_other(probe, kind, body)
    await probe.fund(foreign, probe.terms.amount.quantity)
    await probe.reserve(other(kind), foreign, expect.CONFLICT)
