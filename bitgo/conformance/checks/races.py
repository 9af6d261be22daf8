"""Requests that arrive together (contract, section 3; "be able to guard against racing requests")."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from bitgo.conformance import expect
from bitgo.conformance.check import Group, Need
from bitgo.conformance.checks.unknown_ids import as_other, other
from bitgo.conformance.probe import Probe
from bitgo.conformance.sources import GUIDE_DEALLOCATE
from bitgo.conformance.wire import Answer
from schemas.words import Kind, Status, Verb

GROUP: Final = Group("race", "Requests that arrive together", "3", GUIDE_DEALLOCATE)
AT_ONCE: Final = 10
ROUNDS: Final = 3
EITHER: Final = expect.status(200, 409)


def said(answers: Sequence[Answer]) -> Counter[str]:
    """How often each outcome came: the status word of a success, the number of a refusal."""
    return Counter(str(each.field("status")) if each.status < 300 else str(each.status) for each in answers)  # noqa: PLR2004


def tally(outcome: Mapping[str, int]) -> str:
    return ", ".join(f"{count} times {name}" for name, count in sorted(outcome.items()))


@GROUP.both_kinds(1, f"{AT_ONCE} copies of one reserve of the {{kind}} at once are one reservation")
async def copies(probe: Probe, kind: Kind) -> None:
    body = await probe.bring(kind, None)
    answers = await asyncio.gather(*[probe.reserve(kind, body, expect.RESERVED) for _ in range(AT_ONCE)])
    different = {answer.text for answer in answers}
    probe.require("one answer for all", f"{len(different)} different ones", holds=len(different) == 1)


@GROUP.both_kinds(2, "clear and release of one {kind} at once: one of them wins, for good")
async def clear_and_release(probe: Probe, kind: Kind) -> None:
    for _ in range(ROUNDS):
        body = await probe.bring(kind, Status.RESERVED)
        of_id = body[f"{kind}Id"]
        verbs = (Verb.CLEAR, Verb.RELEASE) * 3
        answers = await asyncio.gather(*[probe.finish(kind, verb, of_id, EITHER) for verb in verbs])
        outcome = said(answers)
        one_won = outcome["409"] == len(verbs) // 2 and len(outcome) == 2  # noqa: PLR2004
        probe.require("200 for one of them and 409 for the other", tally(outcome), holds=one_won)
        await probe.still(kind, body, Status.CLEARED if outcome["cleared"] else Status.RELEASED)


@GROUP.both_kinds(3, "two contents under one id of {a_kind} at once: one is reserved, the other 409")
async def two_contents(probe: Probe, kind: Kind) -> None:
    for _ in range(ROUNDS):
        first = await probe.bring(kind, None)
        amount = first["amount"] | {"quantity": probe.quantity(probe.terms.amount.quantity + 1)}
        bodies = [first, first | {"amount": amount}]
        outcome = said(await asyncio.gather(*[probe.reserve(kind, body, EITHER) for body in bodies]))
        expected = {"reserved": 1, "409": 1}
        probe.require("one reserved and one 409", tally(outcome), holds=dict(outcome) == expected)


@GROUP.check(4, "both kinds under one id at once: one is reserved, the other 409")
async def two_kinds(probe: Probe) -> None:
    kind = Kind.DEALLOCATION
    for _ in range(ROUNDS):
        body = await probe.bring(kind, None)
        foreign = as_other(probe, kind, body)
        outcome = said(
            await asyncio.gather(probe.reserve(kind, body, EITHER), probe.reserve(other(kind), foreign, EITHER))
        )
        expected = {"reserved": 1, "409": 1}
        probe.require("one reserved and one 409", tally(outcome), holds=dict(outcome) == expected)


@GROUP.both_kinds(5, "reserve and release of one {kind} at once leave no reservation")
async def reserve_and_release(probe: Probe, kind: Kind) -> None:
    for _ in range(ROUNDS):
        body = await probe.bring(kind, None)
        reserved, released = await asyncio.gather(
            probe.reserve(kind, body, EITHER),
            probe.finish(kind, Verb.RELEASE, body[f"{kind}Id"], expect.status(200, 404)),
        )
        pair = (reserved.status, released.status)
        probe.require("200 and 200, or 409 and 404", pair, holds=pair in {(200, 200), (409, 404)})
        refusal = expect.CONFLICT if pair[0] == 200 else expect.NOT_FOUND  # noqa: PLR2004
        await probe.finish(kind, Verb.CLEAR, body[f"{kind}Id"], refusal)


@GROUP.check(6, f"{AT_ONCE} deallocations at once take no more than there is", needs=[Need.OWN_ACCOUNT])
async def overdraw(probe: Probe) -> None:
    kind, quantity, enough = Kind.DEALLOCATION, probe.terms.amount.quantity, 4
    first = probe.body(kind)
    await probe.fund(first, enough * quantity)
    bodies: list[dict[str, Any]] = [first | {"deallocationId": str(uuid.uuid4())} for _ in range(AT_ONCE)]
    either = expect.status(200, probe.terms.rejected_as) & expect.word("reserved", "rejected")
    answers = await asyncio.gather(*[probe.reserve(kind, body, either) for body in bodies])
    outcome = Counter(str(answer.field("status")) for answer in answers)
    expected = {"reserved": enough, "rejected": AT_ONCE - enough}
    probe.require(tally(expected), tally(outcome), holds=dict(outcome) == expected)


@GROUP.check(7, f"{AT_ONCE} copies of one deallocation at once hold its amount once", needs=[Need.OWN_ACCOUNT])
async def one_hold(probe: Probe) -> None:
    kind, quantity = Kind.DEALLOCATION, probe.terms.amount.quantity
    body = probe.body(kind)
    await probe.fund(body, 2 * quantity)
    await asyncio.gather(*[probe.reserve(kind, body, expect.RESERVED) for _ in range(AT_ONCE)])
    await probe.reserve(kind, body | {"deallocationId": str(uuid.uuid4())}, expect.RESERVED)
    await probe.reserve(kind, body | {"deallocationId": str(uuid.uuid4())}, probe.rejected)


@GROUP.check(8, f"{AT_ONCE} clears of one allocation at once credit it once", needs=[Need.OWN_ACCOUNT])
async def one_credit(probe: Probe) -> None:
    account = await probe.bring(Kind.ALLOCATION, Status.RESERVED)
    of_id = account["allocationId"]
    clears = [probe.finish(Kind.ALLOCATION, Verb.CLEAR, of_id, expect.CLEARED) for _ in range(AT_ONCE)]
    await asyncio.gather(*clears)
    names = ("connectionId", "clientId", "partnersConnectionId")
    taken = probe.body(Kind.DEALLOCATION, **{name: account[name] for name in names})
    await probe.reserve(Kind.DEALLOCATION, taken, expect.RESERVED)
    again = taken | {"deallocationId": str(uuid.uuid4())}
    await probe.reserve(Kind.DEALLOCATION, again, probe.rejected)
