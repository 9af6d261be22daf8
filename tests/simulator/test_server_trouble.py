"""Trouble on request: each kind, before and after the effect; and the simulator's own endpoints (issue 14)."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bitgo.simulator.server import ENDPOINTS
from bitgo.simulator.trouble import Trouble
from schemas.words import Kind
from tests.support.bitgo_desk import Desk, open_desk, settlement

CUTOFF = "2026-08-11T12:00:00.000Z"


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(tmp_path / "ledger") as opened:
        yield opened


@pytest.mark.parametrize("answer", ["401", "403", "404", "409", "422", "429", "500", "503"])
async def test_the_next_answers_are_refusals(desk: Desk, answer: str) -> None:
    await desk.trouble("GET balances", answer, times=2, retryAfterSeconds=7)
    got = [await desk.call("GET", "balances") for _ in range(3)]
    assert [int(answer), int(answer), 200] == [each.status for each in got]
    assert [["error"]] * 2 == [list(each.body) for each in got[:2]]
    retry_after = {each.headers.get("Retry-After") for each in got[:2]}
    assert ({"7"} if answer in ("429", "503") else {None}) == retry_after


async def test_trouble_is_for_its_endpoint(desk: Desk) -> None:
    await desk.trouble("PUT allocations", "500")
    await desk.trouble("GET allocations/{allocationId}", "409")
    allocation = desk.order(Kind.ALLOCATION, desk.connect(), 5)
    assert 200 == (await desk.call("GET", "allocations")).status
    assert 409 == (await desk.call("GET", f"allocations/{allocation}")).status
    assert 500 == (await desk.call("PUT", "allocations", desk.report(allocation, "cleared"))).status
    assert 200 == (await desk.call("PUT", "allocations", desk.report(allocation, "cleared"))).status


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_every_endpoint_can_be_troubled(desk: Desk, endpoint: str) -> None:
    await desk.trouble(endpoint, "503")
    method, _, path = endpoint.partition(" ")
    assert 503 == (await desk.call(method, path.replace("{", "").replace("}", ""))).status
    assert [] == (await desk.control("GET", "trouble")).body["waiting"]


async def test_a_refusal_before_the_effect_changes_nothing_and_one_after_it_hides_it(desk: Desk) -> None:
    connection = desk.connect()
    for after, available in ((False, 0), (True, 5)):
        allocation = desk.order(Kind.ALLOCATION, connection, 5)
        report = desk.report(allocation, "cleared")
        await desk.trouble("PUT allocations", "500", after=after)
        assert 500 == (await desk.call("PUT", "allocations", report)).status
        assert available == desk.available(connection)
    assert 200 == (await desk.call("PUT", "allocations", report)).status
    assert 5 == desk.available(connection)


@pytest.mark.parametrize("after", [False, True])
async def test_a_cut_answer(desk: Desk, after: bool) -> None:  # noqa: FBT001
    connection = desk.connect()
    body = json.dumps(settlement({connection: {"BTC": "5"}})).encode()
    await desk.trouble("POST settlements", "cut", after=after)
    with pytest.raises(aiohttp.ClientPayloadError):
        await desk.call("POST", "settlements", body)
    assert (5 if after else 0) == desk.available(connection)
    again = await desk.call("POST", "settlements", body)
    assert (200, "completed", 5) == (again.status, again.body["settlement"]["status"], desk.available(connection))


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True])
async def test_a_slow_answer(desk: Desk, after: bool) -> None:  # noqa: FBT001
    """The effect comes at the end of the wait, or at its beginning."""
    connection = desk.connect()
    report = desk.report(desk.order(Kind.ALLOCATION, connection, 5), "cleared")
    await desk.trouble("PUT allocations", "slow", after=after, seconds=2)
    call = asyncio.create_task(desk.call("PUT", "allocations", report))
    while (await desk.control("GET", "trouble")).body["waiting"]:
        await asyncio.sleep(0.01)
    while after and not desk.available(connection):
        await asyncio.sleep(0.01)
    assert (5 if after else 0, False) == (desk.available(connection), call.done())
    assert 200 == (await call).status
    assert 5 == desk.available(connection)


@pytest.mark.parametrize("endpoint", ["POST settlements", "POST v2/settlements"])
@pytest.mark.parametrize("answer", ["401", "500"])
@pytest.mark.parametrize("status", ["pending", "failed", "rejected"])
async def test_401_and_500_that_carry_a_settlement(desk: Desk, endpoint: str, answer: str, status: str) -> None:
    connection, path = desk.connect(), endpoint.removeprefix("POST ")
    cutoff = {"cutoffAt": CUTOFF} if path.startswith("v2") else {}
    body = json.dumps(settlement({connection: {"BTC": "5"}}, **cutoff)).encode()
    await desk.trouble(endpoint, answer, settlement=status)
    stopped = await desk.call("POST", path, body)
    told = stopped.body["settlement"]
    assert (int(answer), status, "error" in stopped.body) == (stopped.status, told["status"], False)
    assert 0 == desk.available(connection)
    assert told == (await desk.settlement(told["id"]))["settlement"]
    again = await desk.call("POST", path, body)
    open_status = "pending" if cutoff else "completed"
    assert (told["id"], "rejected" if status == "rejected" else open_status) == (
        again.body["settlement"]["id"], again.body["settlement"]["status"],
    )  # fmt: skip
    if path == "settlements":
        assert (401 if status == "rejected" else 200) == again.status
    assert (5 if again.body["settlement"]["status"] == "completed" else 0) == desk.available(connection)


async def test_a_settlement_that_is_completed_can_not_stop(desk: Desk) -> None:
    body = settlement({desk.connect(): {"BTC": "5"}})
    await desk.call("POST", "settlements", body)
    await desk.trouble("POST settlements", "500", settlement="failed")
    answer = await desk.call("POST", "settlements", body)
    assert (200, "completed") == (answer.status, answer.body["settlement"]["status"])


async def test_any_endpoint_the_order_and_forgetting(desk: Desk) -> None:
    await desk.trouble("*", "429")
    await desk.trouble("GET balances", "409")
    await desk.trouble("*", "503", times=5)
    got = [(await desk.call("GET", path)).status for path in ("balances", "settlements", "balances")]
    assert [429, 503, 409] == got
    [waiting] = (await desk.control("GET", "trouble")).body["waiting"]
    assert ("*", "503", 4) == (waiting["endpoint"], waiting["answer"], waiting["times"])
    assert {"waiting": []} == (await desk.control("DELETE", "trouble")).body
    assert 200 == (await desk.call("GET", "balances")).status


@pytest.mark.parametrize("fields", [
    {"endpoint": "GET nothing"}, {"endpoint": None}, {"answer": "418"}, {"times": 0}, {"times": 100_001}, {"x": 1},
    {"seconds": 601}, {"seconds": -1}, {"settlement": "pending"}, {"answer": "409", "settlement": "failed"},
    {"endpoint": "POST settlements", "answer": "500", "settlement": "completed"}, {"retryAfterSeconds": -1},
    {"endpoint": "POST settlements", "answer": "500", "settlement": "failed", "after": True}, {"times": "many"},
])  # fmt: skip
async def test_trouble_that_does_not_fit_is_400_with_a_sentence(desk: Desk, fields: dict[str, Any]) -> None:
    body = {"endpoint": "GET balances", "answer": "500"} | fields
    answer = await desk.control("POST", "trouble", body)
    assert (400, ["error"]) == (answer.status, list(answer.body))
    assert [] == (await desk.control("GET", "trouble")).body["waiting"]


async def test_trouble_from_the_start(tmp_path: Path) -> None:
    trouble = [Trouble(endpoint="*", answer="503")]
    async with open_desk(tmp_path / "ledger", troubles=trouble) as desk:
        assert [503, 200] == [(await desk.call("GET", "balances")).status for _ in range(2)]
    with pytest.raises(ValueError, match="there is no endpoint"):
        async with open_desk(tmp_path / "ledger", troubles=[Trouble(endpoint="x", answer="503")]):
            pass
