"""BitGo's read shape and the list (contract, section 5); every answer validates against BitGo's own schema."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from bitgo.client import reserve_body
from schemas.words import Kind, Status
from tests.endpoints.conftest import Site
from tests.support.system import ENTERPRISE

PARTNERS = f"/api/network/v1/enterprises/{ENTERPRISE}/partners/allocations"
UNKNOWN = "8c1c0e3f-6c5e-4f0e-9a55-3d3b7d1f6a52"
SCHEMA = json.loads((Path(__file__).parent.parent / "data" / "bitgo-allocation.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)


async def one(site: Site, allocation_id: str) -> dict[str, Any]:
    reply = await site.bitgo.call("GET", f"{PARTNERS}/{allocation_id}")
    assert reply.status == 200
    VALIDATOR.validate(reply.body)
    allocation: dict[str, Any] = reply.body["allocation"]
    return allocation


async def listed(site: Site, **query: str) -> list[dict[str, Any]]:
    reply = await site.bitgo.call("GET", PARTNERS, params=query)
    assert reply.status == 200, reply.body
    for allocation in reply.body["allocations"]:
        VALIDATOR.validate({"allocation": allocation})
    allocations: list[dict[str, Any]] = reply.body["allocations"]
    return allocations


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (
            Status.RESERVED,
            {"status": "reserved", "retriable": True, "reason": "waiting for BitGo to clear or release it"},
        ),
        (Status.REJECTED, {"status": "released", "retriable": False, "reason": "limit_exceeded"}),
        (Status.CLEARED, {"status": "cleared", "retriable": False, "reason": None}),
        (Status.RELEASED, {"status": "released", "retriable": False, "reason": "released by BitGo"}),
    ],
)
async def test_the_read_shape(site: Site, kind: Kind, status: Status, expected: dict[str, Any]) -> None:
    body = await site.bring(kind, status)
    allocation = await one(site, body[f"{kind}Id"])
    assert {
        "id": body[f"{kind}Id"],
        "amount": {"currency": "LIMITED", "quantity": str(body["amount"]["quantity"])},
        "connectionId": body["connectionId"],
        "clientExternalId": body[f"{kind}Id"],
        "initiatedBy": body["clientId"],
        "partnerExternalId": body[f"partner{kind.capitalize()}Id"],
        "type": kind,
        "policyResult": "rejected" if status is Status.REJECTED else "approved",
        **expected,
    } == {name: value for name, value in allocation.items() if name not in ("createdAt", "updatedAt", "evaluationId")}
    [first] = site.system.rows(
        "SELECT command_id FROM journal WHERE subject_id = %s AND verb = 'reserve'", body[f"{kind}Id"]
    )
    assert str(first["command_id"]) == allocation["evaluationId"]


async def test_without_a_rule_nothing_was_evaluated(site: Site) -> None:
    body = reserve_body(Kind.ALLOCATION)
    await site.bitgo.reserve(Kind.ALLOCATION, body)
    assert {"policyResult", "evaluationId", "notes", "pendingApprovalId"} & (
        await one(site, body["allocationId"])
    ).keys() == set()


async def test_what_a_request_supplies_is_kept(site: Site) -> None:
    supplied = {
        "clientExternalId": "external",
        "initiatedBy": "user",
        "notes": "nötes",
        "evaluationId": "evaluation",
        "pendingApprovalId": "approval",
    }
    body = reserve_body(Kind.ALLOCATION, **supplied)
    answer = await site.bitgo.reserve(Kind.ALLOCATION, body)
    assert supplied.keys() & answer.body.keys() == set()
    assert supplied.items() <= (await one(site, body["allocationId"])).items()


async def test_times_move_on_a_transition_only(site: Site) -> None:
    body = await site.bring(Kind.ALLOCATION, Status.RESERVED)
    reserved = await one(site, body["allocationId"])
    await site.bitgo.reserve(Kind.ALLOCATION, body)
    repeated = await one(site, body["allocationId"])
    await site.bitgo.clear(Kind.ALLOCATION, body["allocationId"])
    cleared = await one(site, body["allocationId"])
    assert reserved == repeated
    assert reserved["createdAt"] == reserved["updatedAt"] == cleared["createdAt"] < cleared["updatedAt"]
    assert len("2026-11-21T12:00:00.000Z") == len(cleared["updatedAt"])


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{PARTNERS}/{UNKNOWN}", 404),
        (f"{PARTNERS}/no-uuid", 400),
        (f"{PARTNERS}/%00", 400),
        (f"/api/network/v1/enterprises/another/partners/allocations/{UNKNOWN}", 404),
        ("/api/network/v1/enterprises/another/partners/allocations", 404),
        ("/api/network/v1/nothing", 404),
    ],
)
async def test_errors_have_bitgos_form(site: Site, path: str, status: int) -> None:
    reply = await site.bitgo.call("GET", path)
    assert status == reply.status
    assert {} == reply.body if status == 400 else list(reply.body) == ["error"]


async def test_a_tombstone_is_not_an_allocation(site: Site) -> None:
    allocation = str(uuid.uuid4())
    await site.bitgo.release(Kind.ALLOCATION, allocation)
    assert (await site.bitgo.call("GET", f"{PARTNERS}/{allocation}")).status == 404
    assert [] == await listed(site, allocationIds=allocation)


@pytest.fixture(scope="module")
async def family(site: Site) -> list[dict[str, Any]]:
    """Nine of each kind for one client: all statuses, two currencies, three connections, quantities 1 to 9."""
    client, bodies = str(uuid.uuid4()), []
    connections = [str(uuid.uuid4()) for _ in range(3)]
    for kind in Kind:
        for number in range(1, 10):
            currency = "ETH" if number % 2 else "LIMITED"
            connection = connections[number % 3]
            if kind is Kind.DEALLOCATION and number != 8:
                await site.fund(connection, number, currency)
            quantity = 1000 if number == 8 else number
            body = reserve_body(kind, quantity, currency=currency, clientId=client, connectionId=connection)
            await site.bitgo.reserve(kind, body)
            if number in (2, 3):
                await site.bitgo.clear(kind, body[f"{kind}Id"])
            if number in (4, 5):
                await site.bitgo.release(kind, body[f"{kind}Id"])
            bodies.append(body | {"kind": kind, "id": body[f"{kind}Id"], "number": number})
    return bodies


FILTERS: list[tuple[str, Callable[[list[dict[str, Any]]], str], Callable[[dict[str, Any]], bool]]] = [
    ("types", lambda _: "allocation", lambda each: each["kind"] is Kind.ALLOCATION),
    ("types", lambda _: "deallocation", lambda each: each["kind"] is Kind.DEALLOCATION),
    ("types", lambda _: "allocation,deallocation", lambda _: True),
    ("statuses", lambda _: "cleared", lambda each: each["number"] in (2, 3)),
    ("statuses", lambda _: "released", lambda each: each["number"] in (4, 5, 8)),
    ("statuses", lambda _: "reserved", lambda each: each["number"] in (1, 6, 7, 9)),
    ("statuses", lambda _: "reserved,cleared", lambda each: each["number"] in (1, 2, 3, 6, 7, 9)),
    ("currencies", lambda _: "ETH", lambda each: each["number"] % 2 == 1),
    ("currencies", lambda _: "eth", lambda _: False),
    ("connectionIds", lambda family: family[0]["connectionId"], lambda each: each["number"] % 3 == 1),
    ("connectionIds", lambda family: family[0]["connectionId"].upper(), lambda each: each["number"] % 3 == 1),
    (
        "allocationIds",
        lambda family: f"{family[0]['id']},{family[10]['id']},{uuid.uuid4()}",
        lambda each: each["number"] in (1, 2),
    ),
    ("partnerIds", lambda family: family[0]["partnerAllocationId"], lambda each: each["number"] == 1),
    ("partnerIds", lambda _: "partner-1", lambda _: True),
    ("partnerIds", lambda _: "partner-2", lambda _: False),
]


@pytest.mark.parametrize(("name", "value", "belongs"), FILTERS)
async def test_a_filter(
    site: Site,
    family: list[dict[str, Any]],
    name: str,
    value: Callable[[list[dict[str, Any]]], str],
    belongs: Callable[[dict[str, Any]], bool],
) -> None:
    found = await listed(site, clientIds=family[0]["clientId"], **{name: value(family)})
    expected = {each["id"] for each in family if belongs(each)}
    if name == "allocationIds":
        expected = {family[0]["id"], family[10]["id"]}
    if name == "partnerIds" and len(expected) == 2:
        expected = {family[0]["id"]}
    assert expected == {each["id"] for each in found}


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
@pytest.mark.parametrize("field", ["id", "updatedAt", "quantity"])
async def test_sort_and_pages(site: Site, family: list[dict[str, Any]], field: str, direction: str) -> None:
    query = {"clientIds": family[0]["clientId"], "sortField": field, "sortDirection": direction}
    everything = await listed(site, **query)
    pages = [await listed(site, **query, pageSize="7", pageNumber=str(number)) for number in range(4)]
    assert [7, 7, 4, 0] == [len(page) for page in pages]
    assert everything == [each for page in pages for each in page]

    def key(each: dict[str, Any]) -> Any:
        return int(each["amount"]["quantity"]) if field == "quantity" else each[field]

    assert [key(each) for each in everything] == sorted(map(key, everything), reverse=direction == "DESC")
    if field == "quantity":
        ties = [(key(each), each["createdAt"], each["id"]) for each in everything]
        groups = {quantity: [tie for tie in ties if tie[0] == quantity] for quantity, _, _ in ties}
        assert all(group == sorted(group) for group in groups.values())


async def test_the_default_order_is_the_oldest_update_first(site: Site, family: list[dict[str, Any]]) -> None:
    default = await listed(site, clientIds=family[0]["clientId"])
    assert default == await listed(site, clientIds=family[0]["clientId"], sortField="updatedAt", sortDirection="ASC")


@pytest.mark.parametrize(
    "query",
    [
        {"statuses": "rejected"},
        {"partnerIds": "a\x00"},
        {"_": "1"},
    ],
)
async def test_a_bad_filter_is_400_and_an_empty_object(site: Site, query: dict[str, str]) -> None:
    reply = await site.bitgo.call("GET", PARTNERS, params=query)
    assert (400, {}) == (reply.status, reply.body)
