"""`GET allocations`, `GET allocations/{id}`, `GET balances` (contract, sections 5 and 7)."""

import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from bitgo.simulator.entries import LedgerStatus
from schemas.words import Kind
from tests.support.bitgo_desk import PARTNER_ID, Desk, open_desk

SCHEMA = json.loads((Path(__file__).parent.parent / "data" / "bitgo-allocation.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)
UNKNOWN = "8c1c0e3f-6c5e-4f0e-9a55-3d3b7d1f6a52"
BIG = 10**78 - 1


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(tmp_path / "ledger") as opened:
        yield opened


async def one(desk: Desk, allocation_id: str) -> dict[str, Any]:
    answer = await desk.call("GET", f"allocations/{allocation_id}")
    assert 200 == answer.status, answer.headers
    VALIDATOR.validate(answer.body)
    allocation: dict[str, Any] = answer.body["allocation"]
    return allocation


async def listed(desk: Desk, **query: Any) -> list[dict[str, Any]]:
    answer = await desk.call("GET", "allocations", params=query)
    assert 200 == answer.status, answer.headers
    for each in answer.body["allocations"]:
        VALIDATOR.validate({"allocation": each})
    allocations: list[dict[str, Any]] = answer.body["allocations"]
    return allocations


CASES: list[tuple[list[tuple[LedgerStatus, str | None]], dict[str, Any]]] = [
    ([], {"status": "reserved", "retriable": True, "reason": "waiting for the partner to answer"}),
    (
        [("reserved", None)],
        {"status": "reserved", "retriable": True, "reason": "reserved by the partner, not cleared yet"},
    ),
    ([("rejected", "limit_exceeded")], {"status": "released", "retriable": False, "reason": "limit_exceeded"}),
    ([("rejected", None)], {"status": "released", "retriable": False, "reason": "rejected by the partner"}),
    ([("reserved", None), ("cleared", None)], {"status": "cleared", "retriable": False, "reason": None}),
    (
        [("reserved", None), ("released", None)],
        {"status": "released", "retriable": False, "reason": "released by BitGo"},
    ),
]


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize(("steps", "expected"), CASES)
async def test_the_read_shape(
    desk: Desk, kind: Kind, steps: list[tuple[LedgerStatus, str | None]], expected: dict[str, Any]
) -> None:
    connection = desk.connect(client_id="11111111-0000-4000-8000-000000000001")
    desk.fund(connection, BIG)
    allocation = desk.order(kind, connection, BIG, deferred=0)
    for status, reason in steps:
        desk.ledger.set_status(allocation, status, reason)
    read = await one(desk, allocation.upper())
    assert {
        "id": allocation,
        "amount": {"currency": "BTC", "quantity": str(BIG)},
        "connectionId": connection,
        "clientExternalId": allocation,
        "initiatedBy": "11111111-0000-4000-8000-000000000001",
        "type": kind,
        **expected,
    } == {name: value for name, value in read.items() if name not in ("createdAt", "updatedAt")}


async def test_what_is_known_of_an_order_is_told(desk: Desk) -> None:
    known = {"client_external_id": "external", "initiated_by": "user", "notes": "nötes", "partner_allocation_id": "p"}
    allocation = desk.order(Kind.ALLOCATION, desk.connect(), 5, **known)
    expected = {"clientExternalId": "external", "initiatedBy": "user", "notes": "nötes", "partnerExternalId": "p"}
    assert expected.items() <= (await one(desk, allocation)).items()


async def test_what_the_partner_reports_later_is_not_retriable(desk: Desk) -> None:
    assert (await one(desk, desk.order(Kind.ALLOCATION, desk.connect(), 5, deferred=1)))["retriable"] is False


@pytest.mark.parametrize(("path", "status", "body"), [
    (f"allocations/{UNKNOWN}", 404, {"error": "allocation not found"}),
    ("allocations/no-uuid", 400, {}),
    ("allocations/%00", 400, {}),
    (f"allocations/{UNKNOWN}?x=1", 400, {}),
    ("balances?pageSize=1", 400, {}),
])  # fmt: skip
async def test_refusals(desk: Desk, path: str, status: int, body: Any) -> None:
    answer = await desk.call("GET", path)
    assert (status, body) == (answer.status, answer.body)


@pytest.fixture
def family(desk: Desk) -> list[dict[str, Any]]:
    """Nine of each kind over three connections of two clients, quantities of 1 to 9 digits."""
    clients = [str(uuid.uuid4()) for _ in range(2)]
    connections = [desk.connect(clients[0]), desk.connect(clients[1]), desk.connect(clients[1])]
    statuses: list[LedgerStatus] = ["reserved", "rejected", "cleared", "released"]
    family = []
    for kind in Kind:
        for number in range(1, 10):
            connection, currency, quantity = (
                connections[number % 3],
                "ETH" if number % 2 else "BTC",
                10**number - number,
            )
            if number <= 6 and kind is Kind.ALLOCATION:
                desk.fund(connection, 10**12, currency)
            allocation = desk.order(kind, connection, quantity, currency)
            if status := (*statuses, None)[number % 5]:
                desk.ledger.set_status(allocation, status)
            family.append(
                {"id": allocation, "kind": kind, "connection": connection, "currency": currency, "quantity": quantity}
            )
    return family


@pytest.mark.parametrize("query", [
    {"statuses": "reserved"}, {"statuses": "released"}, {"statuses": "cleared,reserved"}, {"types": "allocation"},
    {"currencies": "BTC"}, {"types": "deallocation", "currencies": "ETH,BTC", "statuses": "released"},
    {"partnerIds": PARTNER_ID}, {"partnerIds": UNKNOWN}, {"clientIds": UNKNOWN}, {"currencies": "DOGE"},
])  # fmt: skip
@pytest.mark.usefixtures("family")
async def test_filters(desk: Desk, query: dict[str, str]) -> None:
    everything = await listed(desk)
    fields = {"statuses": "status", "types": "type"}
    expected = everything
    for name, values in query.items():
        wanted = values.split(",")
        if name in fields:
            expected = [each for each in expected if each[fields[name]] in wanted]
        elif name == "currencies":
            expected = [each for each in expected if each["amount"]["currency"] in wanted]
        elif UNKNOWN in wanted:
            expected = []
    assert expected == await listed(desk, **query)
    assert len(everything) == 18 + 6


async def test_filters_by_id(desk: Desk, family: list[dict[str, Any]]) -> None:
    ids = [each["id"] for each in family[3:6]]
    separated = await listed(desk, allocationIds=",".join(ids).upper())
    answer = await desk.call("GET", "allocations", params=[("allocationIds", each) for each in ids])
    assert sorted(ids) == sorted(each["id"] for each in separated)
    assert separated == answer.body["allocations"]
    connection = family[0]["connection"]
    assert {connection} == {each["connectionId"] for each in await listed(desk, connectionIds=connection)}
    client = desk.ledger.connection(connection)
    assert client is not None
    clients = {each.connection_id for each in desk.ledger.connections() if each.client_id == client.client_id}
    assert clients == {each["connectionId"] for each in await listed(desk, clientIds=client.client_id)}


@pytest.mark.parametrize("field", ["id", "updatedAt", "quantity"])
@pytest.mark.parametrize("direction", ["ASC", "DESC"])
@pytest.mark.usefixtures("family")
async def test_sorting_and_paging(desk: Desk, field: str, direction: str) -> None:
    def key(each: dict[str, Any]) -> Any:
        return int(each["amount"]["quantity"]) if field == "quantity" else each[field]

    everything = sorted(await listed(desk, sortField="id"), key=lambda each: (each["createdAt"], each["id"]))
    expected = sorted(everything, key=key, reverse=direction == "DESC")
    sort = {"sortField": field, "sortDirection": direction}
    pages = [await listed(desk, pageSize=5, pageNumber=number, **sort) for number in range(6)]
    assert [each["id"] for each in expected] == [each["id"] for page in pages for each in page]
    assert [5, 5, 5, 5, 4, 0] == [len(page) for page in pages]


async def test_a_page_has_a_hundred_when_not_said_and_500_at_most(desk: Desk) -> None:
    connection = desk.connect()
    with desk.ledger.transaction():
        for _ in range(501):
            desk.order(Kind.ALLOCATION, connection, 1)
    assert 100 == len(await listed(desk))
    assert 500 == len(await listed(desk, pageSize=500))
    assert 1 == len(await listed(desk, pageSize=500, pageNumber=1))


@pytest.mark.parametrize("query", [
    "pageSize=0", "pageSize=501", "pageSize=-1", "pageSize=1.0", "pageSize=", "pageSize=1&pageSize=2", "pageSize=٣",
    "pageNumber=-1", "pageNumber=x", "pageNumber=1000001", "sortField=createdAt", "sortDirection=asc",
    "statuses=rejected", "statuses=", "types=settlement", "allocationIds=x", "allocationIds=", "connectionIds=1",
    "allocationIds[]=" + UNKNOWN, "currencies=a%20b", "partnerIds=x", "allocationIds=" + ",".join([UNKNOWN] * 1001),
])  # fmt: skip
async def test_a_wrong_filter_is_400(desk: Desk, query: str) -> None:
    answer = await desk.call("GET", f"allocations?{query}")
    assert (400, {}) == (answer.status, answer.body)


async def test_balances(desk: Desk) -> None:
    one, two = desk.connect(client_id="11111111-0000-4000-8000-000000000001"), desk.connect()
    desk.connect(partners_connection_id="", status="pending")
    desk.fund(one, BIG)
    desk.fund(one, 7, "ETH")
    hold = desk.order(Kind.DEALLOCATION, one, 3)
    desk.ledger.set_status(hold, "reserved")
    answer = await desk.call("GET", "balances")
    network = answer.body["networkBalances"]
    assert {one, two} == network.keys()
    assert {
        "clientId": "11111111-0000-4000-8000-000000000001",
        "partnerId": PARTNER_ID,
        "partnersConnectionId": f"account-{one[:8]}",
        "balances": {
            "BTC": {"available": str(BIG - 3), "held": "3"},
            "ETH": {"available": "7", "held": "0"},
        },
    } == network[one]
    assert {} == network[two]["balances"]


async def test_balances_in_decimals(tmp_path: Path) -> None:
    async with open_desk(tmp_path / "ledger", configured={"decimals": {"BTC": 8, "ETH": 18, "JPY": 0}}) as desk:
        connection = desk.connect()
        for currency, quantity in (("BTC", 150_000_000), ("ETH", 1), ("JPY", 300)):
            desk.fund(connection, quantity, currency)
        balances = (await desk.call("GET", "balances")).body["networkBalances"][connection]["balances"]
    expected = {"BTC": "1.5", "ETH": "0.000000000000000001", "JPY": "300"}
    assert expected == {currency: each["available"] for currency, each in balances.items()}
