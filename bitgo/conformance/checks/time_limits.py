"""How long an answer takes. BitGo publishes no time-out; the limit is given by --answer-within."""

from typing import Final

from bitgo.conformance import expect
from bitgo.conformance.check import Group, Need
from bitgo.conformance.expect import Expected
from bitgo.conformance.probe import Probe
from bitgo.conformance.sources import CONTRACT
from bitgo.conformance.wire import Answer
from schemas.words import Kind, Status, Verb

GROUP: Final = Group("time", "Time limits", "8", CONTRACT)


def soon(probe: Probe) -> Expected:
    limit = probe.terms.answer_within_seconds

    def miss(answer: Answer) -> str | None:
        return None if answer.seconds <= limit else f"it took {answer.seconds:.2f} s"

    return Expected(f"within {limit:g} s", miss)


@GROUP.both_kinds(1, "a reserve of the {kind} is answered in time")
async def reserve(probe: Probe, kind: Kind) -> None:
    body = await probe.bring(kind, None)
    await probe.reserve(kind, body, expect.RESERVED & soon(probe))


@GROUP.both_kinds(2, "a clear of the {kind} is answered in time")
async def clear(probe: Probe, kind: Kind) -> None:
    body = await probe.bring(kind, Status.RESERVED)
    await probe.finish(kind, Verb.CLEAR, body[f"{kind}Id"], expect.CLEARED & soon(probe))


@GROUP.both_kinds(3, "a release of the {kind} is answered in time")
async def release(probe: Probe, kind: Kind) -> None:
    body = await probe.bring(kind, Status.RESERVED)
    await probe.finish(kind, Verb.RELEASE, body[f"{kind}Id"], expect.RELEASED & soon(probe))


@GROUP.check(4, "refusals are answered in time")
async def refusals(probe: Probe) -> None:
    body = probe.body(Kind.ALLOCATION)
    await probe.reserve(Kind.ALLOCATION, body, expect.UNAUTHORIZED & soon(probe), signed_by_bitgo=False)
    await probe.reserve(Kind.ALLOCATION, body | {"clientId": "no"}, expect.BAD_REQUEST & soon(probe))
    await probe.finish(Kind.ALLOCATION, Verb.CLEAR, body["allocationId"], expect.REFUSED & soon(probe))


@GROUP.check(5, "a read is answered in time", section="5", needs=[Need.ENTERPRISE])
async def read(probe: Probe) -> None:
    body = await probe.bring(Kind.ALLOCATION, Status.RESERVED)
    await probe.send("GET", probe.network_path(body["allocationId"]), expect.status(200) & soon(probe))
