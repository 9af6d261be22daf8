"""The transition table, cell by cell, for both kinds (contract, section 3)."""

from functools import partial
from typing import Final

from bitgo.conformance import expect
from bitgo.conformance.check import Group, Need
from bitgo.conformance.expect import Expected
from bitgo.conformance.probe import Probe
from bitgo.conformance.sources import CONTRACT, GUIDE_ALLOCATE, GUIDE_DEALLOCATE, SEED_ALLOCATE, Source
from schemas.words import AfterFinal, Kind, Status, Verb

GROUP: Final = Group("table", "The transition table, cell by cell", "3", SEED_ALLOCATE)
NOTHING, RESERVED, REJECTED, CLEARED, RELEASED = None, Status.RESERVED, Status.REJECTED, Status.CLEARED, Status.RELEASED
REFUSED: Final = object()
"""Answered with a conflict, or with 404 where there is nothing; the status stays."""

TABLE: Final[dict[tuple[Status | None, Verb], object]] = {
    (NOTHING, Verb.RESERVE): RESERVED,
    (NOTHING, Verb.CLEAR): REFUSED,
    (NOTHING, Verb.RELEASE): REFUSED,
    (RESERVED, Verb.RESERVE): RESERVED,
    (RESERVED, Verb.CLEAR): CLEARED,
    (RESERVED, Verb.RELEASE): RELEASED,
    (REJECTED, Verb.RESERVE): REJECTED,
    (REJECTED, Verb.CLEAR): REFUSED,
    (REJECTED, Verb.RELEASE): REJECTED,
    (CLEARED, Verb.RESERVE): {AfterFinal.CONFLICT: REFUSED, AfterFinal.REISSUE: CLEARED},
    (CLEARED, Verb.CLEAR): CLEARED,
    (CLEARED, Verb.RELEASE): REFUSED,
    (RELEASED, Verb.RESERVE): {AfterFinal.CONFLICT: REFUSED, AfterFinal.REISSUE: RESERVED},
    (RELEASED, Verb.CLEAR): REFUSED,
    (RELEASED, Verb.RELEASE): RELEASED,
}


def result(now: Status | None, verb: Verb, after_final: AfterFinal) -> Status | None:
    """The status that is answered; None for a refusal."""
    cell = TABLE[now, verb]
    found = cell[after_final] if isinstance(cell, dict) else cell
    return found if isinstance(found, Status) else None


def _expected(probe: Probe, now: Status | None, verb: Verb, becomes: Status | None) -> Expected:
    if becomes is None:
        return expect.NOT_FOUND if now is None else expect.CONFLICT
    if becomes is REJECTED and verb is Verb.RESERVE:
        return probe.rejected
    return expect.ok(becomes)


async def _cell(kind: Kind, now: Status | None, verb: Verb, probe: Probe) -> None:
    becomes = result(now, verb, probe.terms.after_final(kind))
    body = await probe.bring(kind, now)
    await probe.ask(kind, verb, body, _expected(probe, now, verb, becomes))
    await probe.still(kind, body, now if becomes is None else becomes)


def _source(kind: Kind, now: Status | None, verb: Verb) -> Source:
    if now is None and verb is not Verb.RESERVE:
        return CONTRACT
    if kind is Kind.DEALLOCATION:
        return GUIDE_DEALLOCATE
    return GUIDE_ALLOCATE if verb is Verb.RELEASE else SEED_ALLOCATE


for _number, (_now, _verb) in enumerate(TABLE, 1):
    for _kind in Kind:
        _needs = [Need.REJECTION] if _now is REJECTED and _kind is Kind.ALLOCATION else []
        GROUP.add(
            f"{_number:02}{_kind[0]}",
            f"{_kind}: {_now or 'nothing'}, asked to {_verb}",
            partial(_cell, _kind, _now, _verb),
            source=_source(_kind, _now, _verb),
            needs=_needs,
        )
