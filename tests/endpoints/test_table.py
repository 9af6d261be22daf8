"""The whole transition table through HTTP, both kinds, under all four combinations of the `…_after_final` settings.

The expectations are written from section 3 of the contract, not from the code.
"""

import pytest

from schemas.words import AfterFinal, Kind, Status, Verb
from tests.endpoints.conftest import Site, ask

NOTHING, RESERVED, REJECTED, CLEARED, RELEASED = None, Status.RESERVED, Status.REJECTED, Status.CLEARED, Status.RELEASED
RESERVE, CLEAR, RELEASE = Verb.RESERVE, Verb.CLEAR, Verb.RELEASE
CONFLICT, REISSUE = AfterFinal.CONFLICT, AfterFinal.REISSUE

TABLE = {
    (NOTHING, RESERVE): (200, "reserved"),
    (NOTHING, CLEAR): (404, "not_found"),
    (NOTHING, RELEASE): (404, "not_found"),
    (RESERVED, RESERVE): (200, "reserved"),
    (RESERVED, CLEAR): (200, "cleared"),
    (RESERVED, RELEASE): (200, "released"),
    (REJECTED, RESERVE): (200, "rejected"),
    (REJECTED, CLEAR): (409, "already_rejected"),
    (REJECTED, RELEASE): (200, "rejected"),
    (CLEARED, RESERVE): {CONFLICT: (409, "already_cleared"), REISSUE: (200, "cleared")},
    (CLEARED, CLEAR): (200, "cleared"),
    (CLEARED, RELEASE): (409, "already_cleared"),
    (RELEASED, RESERVE): {CONFLICT: (409, "already_released"), REISSUE: (200, "reserved")},
    (RELEASED, CLEAR): (409, "already_released"),
    (RELEASED, RELEASE): (200, "released"),
}
MOVES = {(NOTHING, RESERVE), (RESERVED, CLEAR), (RESERVED, RELEASE)}


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("deallocations", AfterFinal)
@pytest.mark.parametrize("allocations", AfterFinal)
@pytest.mark.parametrize(("now", "asked"), TABLE, ids=lambda each: str(each or "nothing"))
async def test_a_cell(
    site: Site, now: Status | None, asked: Verb, allocations: AfterFinal, deallocations: AfterFinal, kind: Kind
) -> None:
    bitgo = site.by_setting[allocations, deallocations]
    body = await site.bring(kind, now, bitgo)
    before = await bitgo.status(kind, body[f"{kind}Id"])
    expected = TABLE[now, asked]
    if isinstance(expected, dict):
        expected = expected[allocations if kind is Kind.ALLOCATION else deallocations]
    moves = (now, asked) in MOVES or (expected == (200, "reserved") and now is RELEASED)

    reply = await ask(bitgo, kind, asked, body)

    assert expected == (reply.status, reply.body.get("code") or reply.body["status"])
    after = await bitgo.status(kind, body[f"{kind}Id"])
    if reply.status == 409:
        assert before.body["status"] == reply.body["allocationStatus"]
    if not moves:
        assert (before.status, before.body, before.headers.get("Allocation-Version")) == (
            after.status,
            after.body,
            after.headers.get("Allocation-Version"),
        )
    else:
        assert int(after.headers["Allocation-Version"]) == int(before.headers.get("Allocation-Version", "0")) + 1
        assert reply.body == after.body
    if asked is RESERVE and reply.status == 200:
        assert ("rejectionReason" in reply.body) == (reply.body["status"] == "rejected")


@pytest.mark.parametrize("kind", Kind)
async def test_the_body_of_every_success_is_that_of_reserve(site: Site, kind: Kind) -> None:
    body = await site.bring(kind, None)
    for verb, status in ((RESERVE, "reserved"), (RESERVE, "reserved"), (CLEAR, "cleared"), (CLEAR, "cleared")):
        reply = await ask(site.bitgo, kind, verb, body)
        assert (200, body | {"status": status}) == (reply.status, reply.body)


@pytest.mark.parametrize("kind", Kind)
async def test_a_rejection_says_why_and_travels_as_200_or_422_repeats_too(site: Site, kind: Kind) -> None:
    for bitgo, status in ((site.bitgo, 200), (site.rejecting_as_422, 422)):
        body = await site.bring(kind, REJECTED)
        again = await bitgo.reserve(kind, body)
        expected = body | {"status": "rejected", "rejectionReason": "limit_exceeded"}
        assert (status, expected) == (again.status, again.body)
        assert (200, expected) == ((release := await bitgo.release(kind, body[f"{kind}Id"])).status, release.body)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("alias", ["{kind}", "{kind}s"])
async def test_the_plural_path_is_an_alias(site: Site, kind: Kind, alias: str) -> None:
    base = f"/bitgo/v1/{alias.format(kind=kind)}"
    for verb, status in ((CLEAR, "cleared"), (RELEASE, "released")):
        body = await site.bring(kind, RESERVED)
        path = f"{base}/{body[f'{kind}Id']}"
        done = await site.bitgo.call("PUT", f"{path}/{verb}")
        read = await site.bitgo.call("GET", path)
        assert (200, status, 200, status) == (done.status, done.body["status"], read.status, read.body["status"])


@pytest.mark.parametrize("kind", Kind)
async def test_an_id_is_the_same_in_any_case(site: Site, kind: Kind) -> None:
    body = await site.bring(kind, RESERVED)
    upper = body | {f"{kind}Id": body[f"{kind}Id"].upper()}
    repeated = await site.bitgo.reserve(kind, upper)
    cleared = await site.bitgo.clear(kind, upper[f"{kind}Id"])
    assert (200, body[f"{kind}Id"]) == (repeated.status, repeated.body[f"{kind}Id"])
    assert (200, "cleared") == (cleared.status, cleared.body["status"])
