"""What stands before the table: ids of the other kind, other content, tombstones; and the order of refusals."""

import uuid

import pytest

from bitgo.client import Reply, reserve_body
from schemas.words import Kind, Status, Verb
from tests.endpoints.conftest import Site, ask

SOME_ID = "0b0e4a5e-2c56-4a3c-9f2e-6a7d3f8b1c22"
OTHER = {Kind.ALLOCATION: Kind.DEALLOCATION, Kind.DEALLOCATION: Kind.ALLOCATION}


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("status", Status)
async def test_an_id_of_the_other_kind_is_in_use(site: Site, kind: Kind, status: Status) -> None:
    body = await site.bring(kind, status)
    other = reserve_body(OTHER[kind], **{f"{OTHER[kind]}Id": body[f"{kind}Id"]})
    reply = await site.bitgo.reserve(OTHER[kind], other)
    assert (409, "id_in_use", status) == (reply.status, reply.body["code"], reply.body["allocationStatus"])


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("status", Status)
async def test_an_id_is_not_found_under_the_other_kinds_path_and_no_tombstone_is_left(
    site: Site, kind: Kind, status: Status
) -> None:
    body = await site.bring(kind, status)
    for verb in (Verb.CLEAR, Verb.RELEASE):
        assert (await site.bitgo.finish(OTHER[kind], verb, body[f"{kind}Id"])).status == 404
    assert (await site.bitgo.status(OTHER[kind], body[f"{kind}Id"])).status == 404
    assert status == (await site.bitgo.status(kind, body[f"{kind}Id"])).body["status"]


@pytest.mark.parametrize("kind", Kind)
async def test_a_404_does_not_tell_that_the_id_exists_under_the_other_kind(site: Site, kind: Kind) -> None:
    """Answer and names of headers are those of an id that nobody ever used; the rest differs for each request."""
    body, unknown = await site.bring(kind, Status.CLEARED), str(uuid.uuid4())
    for verb in (Verb.CLEAR, Verb.RELEASE):
        _same(*[await site.bitgo.finish(OTHER[kind], verb, each) for each in (body[f"{kind}Id"], unknown)])
        accepted = [
            await site.bitgo.finish(OTHER[kind], verb, each, Prefer="respond-async")
            for each in (body[f"{kind}Id"], unknown)
        ]
        _same(*[await site.bitgo.call("GET", each.headers["Location"]) for each in accepted])
    _same(*[await site.bitgo.status(OTHER[kind], each) for each in (body[f"{kind}Id"], str(uuid.uuid4()))])


def _same(one: Reply, other: Reply) -> None:
    assert 404 == one.status
    assert "Allocation-Version" not in one.headers
    assert (one.status, one.body, one.headers.keys()) == (other.status, other.body, other.headers.keys())


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize(
    "change",
    [
        {"amount": {"currency": "LIMITED", "quantity": 6}},
        {"amount": {"currency": "limited", "quantity": 5}},
        {"clientId": str(uuid.uuid4())},
        {"connectionId": str(uuid.uuid4())},
        {"partnersConnectionId": "another"},
    ],
    ids=lambda change: str(next(iter(change))),
)
async def test_other_content_is_refused_whatever_the_status(
    site: Site, status: Status, change: dict[str, object]
) -> None:
    body = await site.bring(Kind.ALLOCATION, status)
    reply = await site.bitgo.reserve(Kind.ALLOCATION, body | change)
    assert (409, "different_content", status) == (reply.status, reply.body["code"], reply.body["allocationStatus"])


async def test_what_is_no_content_may_differ(site: Site) -> None:
    body = await site.bring(Kind.ALLOCATION, Status.RESERVED)
    changed = body | {"partnerAllocationId": "another", "partnerClientId": "another", "notes": "new", "unknown": [1]}
    reply = await site.bitgo.reserve(Kind.ALLOCATION, changed)
    assert (200, body["partnerAllocationId"]) == (reply.status, reply.body["partnerAllocationId"])


@pytest.mark.parametrize("kind", Kind)
async def test_the_order_of_refusals(site: Site, kind: Kind) -> None:
    """400, then id_in_use, then different_content, then the table."""
    body = await site.bring(kind, Status.CLEARED)
    other_content = body | {"clientId": str(uuid.uuid4())}
    wrong = other_content | {"partnersConnectionId": ""}
    assert (await site.bitgo.reserve(kind, wrong)).status == 400
    other_kind = {f"{OTHER[kind]}Id": other_content.pop(f"{kind}Id"), **other_content}
    assert (await site.bitgo.reserve(OTHER[kind], other_kind)).body["code"] == "id_in_use"
    assert (await site.bitgo.reserve(kind, body | {"clientId": str(uuid.uuid4())})).body["code"] == "different_content"
    expected = (409, "already_cleared") if kind is Kind.ALLOCATION else (200, "cleared")
    reply = await site.bitgo.reserve(kind, body)
    assert expected == (reply.status, reply.body.get("code") or reply.body["status"])


@pytest.mark.parametrize("kind", Kind)
async def test_a_release_that_overtook_its_reserve_leaves_a_tombstone(site: Site, kind: Kind) -> None:
    body = reserve_body(kind)
    assert (await site.bitgo.release(kind, body[f"{kind}Id"])).status == 404

    for bitgo in site.by_setting.values():
        late = await bitgo.reserve(kind, body)
        assert (409, "already_released") == (late.status, late.body["code"])
        assert "allocationStatus" not in late.body
        assert "Allocation-Version" not in late.headers

    for verb in (Verb.CLEAR, Verb.RELEASE):
        assert (await ask(site.bitgo, kind, verb, body)).status == 404
    assert (await site.bitgo.status(kind, body[f"{kind}Id"])).status == 404
    other = reserve_body(OTHER[kind], **{f"{OTHER[kind]}Id": body[f"{kind}Id"]})
    in_use = await site.bitgo.reserve(OTHER[kind], other)
    assert (409, "id_in_use") == (in_use.status, in_use.body["code"])
    assert "allocationStatus" not in in_use.body


async def test_a_clear_of_nothing_leaves_no_tombstone(site: Site) -> None:
    body = reserve_body(Kind.ALLOCATION)
    assert (await site.bitgo.clear(Kind.ALLOCATION, body["allocationId"])).status == 404
    assert (await site.bitgo.reserve(Kind.ALLOCATION, body)).status == 200


async def test_refusals_are_problems_with_proof(site: Site) -> None:
    body = await site.bring(Kind.ALLOCATION, Status.CLEARED)
    reply = await site.bitgo.reserve(Kind.ALLOCATION, body)
    assert reply.headers["Content-Type"].startswith("application/problem+json")
    assert {"type", "title", "status", "detail", "code", "error", "allocationStatus"} == reply.body.keys()
    assert reply.body["error"] == reply.body["detail"]
    assert reply.headers["Allocation-Version"] == "2"
    [row] = site.system.rows("SELECT * FROM journal WHERE command_id = %s", reply.headers["Command-Id"])
    position = f"{site.system.topics.commands}/{row['partition']}/{row['offset']}"
    assert position == reply.headers["Log-Position"]
    assert ("refused", "already_cleared") == (row["outcome"], row["reason"])


async def test_a_reissue_goes_on_with_the_version_and_keeps_creation_and_partner_id(site: Site) -> None:
    body = await site.bring(Kind.DEALLOCATION, Status.RELEASED)
    path = f"/api/network/v1/enterprises/enterprise-1/partners/allocations/{body['deallocationId']}"
    before = (await site.bitgo.call("GET", path)).body["allocation"]
    again = await site.bitgo.reserve(Kind.DEALLOCATION, body | {"partnerDeallocationId": "another"})
    after = (await site.bitgo.call("GET", path)).body["allocation"]
    assert (200, "3", body["partnerDeallocationId"]) == (
        again.status,
        again.headers["Allocation-Version"],
        again.body["partnerDeallocationId"],
    )
    assert (before["createdAt"], "released", "reserved") == (after["createdAt"], before["status"], after["status"])
    assert before["updatedAt"] < after["updatedAt"]


async def test_a_reissue_is_decided_by_policy_again(site: Site) -> None:
    body = await site.bring(Kind.DEALLOCATION, Status.RELEASED)
    taken = reserve_body(Kind.DEALLOCATION, 8, currency="LIMITED", connectionId=body["connectionId"])
    assert (await site.bitgo.reserve(Kind.DEALLOCATION, taken)).body["status"] == "reserved"
    again = await site.bitgo.reserve(Kind.DEALLOCATION, body)
    assert (200, "rejected", "insufficient_balance") == (
        again.status,
        again.body["status"],
        again.body["rejectionReason"],
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("POST", "/bitgo/v1/allocation"),
        ("POST", "/bitgo/v2/allocations"),
        ("PUT", f"/bitgo/v1/allocation/{SOME_ID}/cancel"),
        ("PUT", f"/bitgo/v1/allocation/{SOME_ID}/clear/"),
        ("GET", f"/bitgo/v1//allocation/{SOME_ID}"),
    ],
)
async def test_a_path_that_is_no_endpoint_says_nothing_of_an_allocation(site: Site, method: str, path: str) -> None:
    reply = await site.bitgo.call(method, path, site.bitgo.headers())
    assert (404, "unknown_path") == (reply.status, reply.body["code"])


async def test_an_unknown_path_of_the_read_shape_has_its_form(site: Site) -> None:
    reply = await site.bitgo.call("GET", "/api/network/v1/enterprises/enterprise-1/partners/nothing")
    assert (404, {"error": "there is no such endpoint"}) == (reply.status, reply.body)
