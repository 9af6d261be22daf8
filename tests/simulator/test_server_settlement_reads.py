"""`GET settlements` and `GET settlements/{settlementId}` (contract, section 10)."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.bitgo_desk import PARTNER_ID, Desk, open_desk, settlement

UNKNOWN = "8c1c0e3f-6c5e-4f0e-9a55-3d3b7d1f6a52"


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(tmp_path / "ledger") as opened:
        yield opened


async def test_reading_one(desk: Desk) -> None:
    client = str(uuid.uuid4())
    one_, two = desk.connect(client), desk.connect()
    other_client = desk.ledger.connection(two)
    assert other_client is not None
    desk.fund(two, 10)
    first = await desk.call("POST", "settlements", settlement({one_: {two: {"BTC": "10"}}}))
    told = first.body["settlement"]
    read = await desk.settlement(told["id"].upper())
    [transfer] = read["settlementTransfers"]
    assert (told, [], []) == (read["settlement"], read["settlingDisputes"], read["settlementDisputes"])
    assert {
        "currency": "BTC", "settlementId": told["id"], "quantity": "10", "txIds": [transfer["id"]],
        "status": "completed", "sourceTradingAccountId": other_client.client_id, "sourceNetworkAccountId": two,
        "destinationTradingAccountId": client, "destinationNetworkAccountId": one_,
    } == {name: transfer[name] for name in transfer if name not in ("id", "createdAt", "updatedAt")}  # fmt: skip
    for query, count in [
        ({"currencies": "BTC"}, 1), ({"currencies": "ETH"}, 0), ({"sourceNetworkAccountIds": two}, 1),
        ({"sourceNetworkAccountIds": one_}, 0), ({"destinationNetworkAccountIds": one_}, 1),
        ({"destinationTradingAccountIds": client}, 1), ({"sourceTradingAccountIds": client}, 0),
        ({"pageNumber": 1}, 0), ({"pageSize": 1}, 1),
    ]:  # fmt: skip
        assert count == len((await desk.settlement(told["id"], **query))["settlementTransfers"]), query


@pytest.mark.parametrize(("path", "status", "body"), [
    (f"settlements/{UNKNOWN}", 404, {"error": "settlement not found"}), ("settlements/x", 400, {}),
    (f"settlements/{UNKNOWN}?pageSize=0", 400, {}), ("settlements?pageSize=501", 400, {}),
    ("settlements?onlyShowDisputed=yes", 400, {}), ("settlements?createdBefore=today", 400, {}),
    ("settlements?settlementIds=x", 400, {}), ("settlements?createdBefore=2026-08-11", 400, {}),
])  # fmt: skip
async def test_refused_reads(desk: Desk, path: str, status: int, body: Any) -> None:
    answer = await desk.call("GET", path)
    assert (status, body) == (answer.status, answer.body)


async def test_listing(desk: Desk) -> None:
    connections = [desk.connect() for _ in range(3)]
    told = []
    for number in range(7):
        amounts = {connections[number % 2]: {connections[2]: {"BTC": "1"}} if number > 4 else {"BTC": "1"}}
        desk.fund(connections[2], 1)
        answer = await desk.call("POST", "settlements", settlement(amounts, externalId=f"number-{number}"))
        told.append(answer.body["settlement"])
    told.sort(key=lambda each: (each["createdAt"], each["id"]))
    middle = told[3]["createdAt"]

    async def listed(**query: Any) -> list[dict[str, Any]]:
        answer = await desk.call("GET", "settlements", params=query)
        assert 200 == answer.status, answer.headers
        settlements: list[dict[str, Any]] = answer.body["settlements"]
        return settlements

    def numbers(*wanted: int) -> list[dict[str, Any]]:
        return [each for each in told if int(each["externalId"][-1]) in wanted]

    assert told == await listed()
    pages = [await listed(pageSize=3, pageNumber=number) for number in range(4)]
    assert [told[:3], told[3:6], told[6:], []] == pages
    assert numbers(1, 4) == await listed(externalIds="number-1,number-4,number-9")
    assert [told[2]] == await listed(settlementIds=told[2]["id"])
    assert (told, []) == (await listed(partnerIds=PARTNER_ID), await listed(partnerIds=UNKNOWN))
    assert numbers(1, 3, 5) == await listed(partyConnectionIds=connections[1])
    assert numbers(5, 6) == await listed(counterpartyConnectionIds=connections[2])
    assert numbers(5) == await listed(counterpartyConnectionIds=connections[2], partyConnectionIds=connections[1])
    assert [] == await listed(onlyShowDisputed="true")
    assert told == await listed(onlyShowDisputed="false")
    for field, name in (("createdAt", "created"), ("updatedAt", "updated")):
        before = [each for each in told if each[field] < middle]
        assert before == await listed(**{f"{name}Before": middle})
        assert [each for each in told if each not in before] == await listed(**{f"{name}OnOrAfter": middle})
