"""The current status in the words of the POST answer: a path that BitGo does not publish (contract, section 2)."""

import uuid
from typing import Final

from bitgo.conformance import expect
from bitgo.conformance.check import Group, Need
from bitgo.conformance.checks.shapes import echo
from bitgo.conformance.checks.unknown_ids import other
from bitgo.conformance.probe import Probe
from bitgo.conformance.sources import CONTRACT
from schemas.words import Kind, Status, Verb

GROUP: Final = Group("status", "GET of a status, on a path of ours", "2", CONTRACT, (Need.UNPUBLISHED,))


def path(probe: Probe, kind: Kind, of_id: str) -> str:
    return probe.path(kind, Verb.CLEAR, of_id).removesuffix(f"/{Verb.CLEAR}")


@GROUP.both_kinds(1, "GET of {a_kind} answers as its POST, in every status")
async def every_status(probe: Probe, kind: Kind) -> None:
    for status in (Status.RESERVED, Status.CLEARED, Status.RELEASED):
        body = await probe.bring(kind, status)
        await probe.send("GET", path(probe, kind, body[f"{kind}Id"]), expect.ok(status) & echo(body))


@GROUP.both_kinds(2, "GET of an unknown {kind} is 404, after its release came first too")
async def unknown(probe: Probe, kind: Kind) -> None:
    of_id = str(uuid.uuid4())
    await probe.send("GET", path(probe, kind, of_id), expect.NOT_FOUND)
    await probe.finish(kind, Verb.RELEASE, of_id, expect.NOT_FOUND)
    await probe.send("GET", path(probe, kind, of_id), expect.NOT_FOUND)


@GROUP.both_kinds(3, "GET of {a_kind} under the other kind's path is 404, of what is no UUID 400")
async def foreign(probe: Probe, kind: Kind) -> None:
    body = await probe.bring(kind, Status.RESERVED)
    await probe.send("GET", path(probe, other(kind), body[f"{kind}Id"]), expect.NOT_FOUND)
    await probe.send("GET", path(probe, kind, "42"), expect.BAD_REQUEST)


@GROUP.both_kinds(4, "GET of {a_kind} without a token is 401", section="4")
async def unauthorized(probe: Probe, kind: Kind) -> None:
    body = await probe.bring(kind, Status.RESERVED)
    await probe.send("GET", path(probe, kind, body[f"{kind}Id"]), expect.UNAUTHORIZED, signed_by_bitgo=False)
