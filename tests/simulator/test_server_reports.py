"""`PUT allocations` and `PUT deallocations`: an asynchronous partner reports what became of them (section 7)."""

import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bitgo.simulator.signatures import new_key, sign
from schemas.words import Kind
from tests.support.bitgo_desk import Desk, open_desk, signed


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(tmp_path / "ledger") as opened:
        yield opened


def funded(desk: Desk) -> str:
    connection = desk.connect()
    desk.fund(connection, 100)
    return connection


@pytest.mark.parametrize(("kind", "status", "available"), [
    (Kind.ALLOCATION, "cleared", 105), (Kind.ALLOCATION, "released", 100),
    (Kind.DEALLOCATION, "cleared", 95), (Kind.DEALLOCATION, "released", 100),
])  # fmt: skip
@pytest.mark.parametrize("before", ["pending", "reserved"])
async def test_a_report_moves_the_ledger_once(desk: Desk, kind: Kind, status: str, available: int, before: str) -> None:
    connection = funded(desk)
    allocation = desk.order(kind, connection, 5)
    if before == "reserved":
        desk.ledger.set_status(allocation, "reserved")
    report = desk.report(allocation, status)
    answers = [await desk.call("PUT", f"{kind}s", report) for _ in range(2)]
    expected = {
        name: report[name] for name in report if name not in ("status", "rejectReason", "nonce", "payload", "signature")
    }
    assert [(200, expected)] * 2 == [(each.status, each.body) for each in answers]
    assert available == desk.available(connection)
    read = (await desk.call("GET", f"allocations/{allocation}")).body["allocation"]
    assert (status, f"partners-{allocation}") == (read["status"], read["partnerExternalId"])
    assert ("no" if status == "released" else None) == read["reason"]


@pytest.mark.parametrize("kind", Kind)
async def test_the_other_outcome_comes_too_late(desk: Desk, kind: Kind) -> None:
    allocation = desk.order(kind, funded(desk), 5)
    await desk.call("PUT", f"{kind}s", desk.report(allocation, "cleared"))
    answer = await desk.call("PUT", f"{kind}s", desk.report(allocation, "released"))
    assert (409, {"error": f"{kind} {allocation} is cleared already"}) == (answer.status, answer.body)


async def test_rejected_is_released_already(desk: Desk) -> None:
    allocation = desk.order(Kind.ALLOCATION, desk.connect(), 5)
    desk.ledger.set_status(allocation, "rejected", "limit_exceeded")
    assert 200 == (await desk.call("PUT", "allocations", desk.report(allocation, "released"))).status
    assert 409 == (await desk.call("PUT", "allocations", desk.report(allocation, "cleared"))).status


async def test_an_unknown_id_is_404_and_so_is_one_of_the_other_kind(desk: Desk) -> None:
    allocation = desk.order(Kind.ALLOCATION, desk.connect(), 5)
    unknown = desk.report(allocation, "cleared", allocationId=str(uuid.uuid4()))
    assert 404 == (await desk.call("PUT", "allocations", unknown)).status
    other = desk.report(allocation, "cleared", deallocationId=allocation, partnersDeallocationId="x", allocationId=None,
                        partnersAllocationId=None)  # fmt: skip
    answer = await desk.call("PUT", "deallocations", other)
    assert (404, {"error": "deallocation not found"}) == (answer.status, answer.body)


async def test_what_the_partner_was_not_asked_to_report_is_422(desk: Desk) -> None:
    allocation = desk.order(Kind.ALLOCATION, desk.connect(), 5, deferred=0)
    assert 422 == (await desk.call("PUT", "allocations", desk.report(allocation, "cleared"))).status


async def test_an_asynchronous_partner_reports_all(tmp_path: Path) -> None:
    async with open_desk(tmp_path / "ledger", configured={"is_asynchronous": True}) as desk:
        allocation = desk.order(Kind.ALLOCATION, desk.connect(), 5, deferred=0)
        read = await desk.call("GET", f"allocations/{allocation}")
        assert read.body["allocation"]["retriable"] is False
        assert 200 == (await desk.call("PUT", "allocations", desk.report(allocation, "cleared"))).status


async def test_a_deallocation_that_is_not_covered_is_422(desk: Desk) -> None:
    connection = funded(desk)
    allocation = desk.order(Kind.DEALLOCATION, connection, 101)
    assert 422 == (await desk.call("PUT", "deallocations", desk.report(allocation, "cleared"))).status
    assert 100 == desk.available(connection)
    assert 200 == (await desk.call("PUT", "deallocations", desk.report(allocation, "released"))).status


@pytest.mark.parametrize("fields", [
    {"amount": {"currency": "BTC", "quantity": "6"}}, {"amount": {"currency": "btc", "quantity": "5"}},
    {"clientId": str(uuid.uuid4())}, {"connectionId": str(uuid.uuid4())}, {"partnersClientId": "other"},
    {"partnersConnectionId": "other"}, {"partnersAllocationId": "other"},
])  # fmt: skip
async def test_other_content_is_409(desk: Desk, fields: dict[str, Any]) -> None:
    connection = desk.connect()
    allocation = desk.order(Kind.ALLOCATION, connection, 5)
    desk.ledger.set_status(allocation, "reserved", partner_allocation_id=f"partners-{allocation}")
    answer = await desk.call("PUT", "allocations", desk.report(allocation, "cleared", **fields))
    assert 409 == answer.status
    assert next(iter(fields)) in answer.body["error"]
    assert 0 == desk.available(connection)


@pytest.mark.parametrize("fields", [
    {"allocationId": "x"}, {"allocationId": None}, {"amount": None}, {"amount": {"currency": "BTC", "quantity": 5}},
    {"amount": {"currency": "BTC", "quantity": "5.0"}}, {"amount": {"currency": "BTC", "quantity": "-5"}},
    {"amount": {"currency": "BTC", "quantity": "5", "x": "1"}}, {"clientId": 1}, {"status": "reserved"},
    {"status": "rejected"}, {"nonce": None}, {"nonce": ""}, {"partnersAllocationId": ""}, {"unknown": "field"},
    {"rejectReason": "for cleared"}, {"partnersConnectionId": "x" * 257}, {"deallocationId": str(uuid.uuid4())},
])  # fmt: skip
async def test_a_wrong_field_is_400(desk: Desk, fields: dict[str, Any]) -> None:
    allocation = desk.order(Kind.ALLOCATION, desk.connect(), 5)
    answer = await desk.call("PUT", "allocations", desk.report(allocation, "cleared", **fields))
    assert (400, {}) == (answer.status, answer.body)


async def test_released_needs_a_reason(desk: Desk) -> None:
    allocation = desk.order(Kind.ALLOCATION, desk.connect(), 5)
    answer = await desk.call("PUT", "allocations", desk.report(allocation, "released", rejectReason=None))
    assert (400, {}) == (answer.status, answer.body)
    assert "rejectReason" in answer.headers["Simulator-Reason"]


async def test_a_wrong_signature_is_401(desk: Desk) -> None:
    connection = desk.connect()
    report = desk.report(desk.order(Kind.ALLOCATION, connection, 5), "cleared")
    for signature in (sign(new_key(), report["payload"]), "00" * 65, "x", sign(new_key(), "another payload")):
        answer = await desk.call("PUT", "allocations", report | {"signature": signature})
        assert (401, {"error": "signature verification failed"}) == (answer.status, answer.body)
    assert 0 == desk.available(connection)


@pytest.mark.parametrize("change", [
    {"status": "released", "rejectReason": "x"}, {"nonce": "another"}, {"policyResult": "approved"},
])  # fmt: skip
async def test_what_the_payload_does_not_say_is_400(desk: Desk, change: dict[str, Any]) -> None:
    report = desk.report(desk.order(Kind.ALLOCATION, desk.connect(), 5), "cleared")
    answer = await desk.call("PUT", "allocations", report | change)
    assert (400, {}) == (answer.status, answer.body)


@pytest.mark.parametrize("payload", ["", "no json", "[]", "{}", '"x"'])
async def test_a_payload_that_is_another_thing_is_400(desk: Desk, payload: str) -> None:
    report = desk.report(desk.order(Kind.ALLOCATION, desk.connect(), 5), "cleared")
    answer = await desk.call("PUT", "allocations", report | {"payload": payload})
    assert (400, {}) == (answer.status, answer.body)


async def test_spaces_and_order_in_the_payload_do_not_count(desk: Desk) -> None:
    report = desk.report(desk.order(Kind.ALLOCATION, desk.connect(), 5), "cleared", notes=None)
    properties = {name: report[name] for name in reversed(report) if name not in ("payload", "signature")}
    again = signed(properties)
    assert json.loads(again["payload"]) == json.loads(report["payload"])
    assert again["payload"] != report["payload"]
    mixed = report | {"payload": again["payload"], "signature": again["signature"]}
    assert 200 == (await desk.call("PUT", "allocations", mixed)).status
