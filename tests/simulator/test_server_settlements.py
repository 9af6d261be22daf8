"""Settlements of both versions: money moves once, externalId is the key, refusals change nothing (section 10)."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bitgo.simulator.signatures import sign
from schemas.words import Kind
from tests.support.bitgo_desk import KEY, PARTNER_ID, Desk, open_desk, settlement, signed

CUTOFF = "2026-08-11T12:00:00.000Z"
ENDPOINTS = ["settlements", "v2/settlements"]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(tmp_path / "ledger") as opened:
        yield opened


def asked(endpoint: str, amounts: Any, **fields: Any) -> dict[str, Any]:
    return settlement(amounts, **({"cutoffAt": CUTOFF} if endpoint.startswith("v2") else {}) | fields)


async def test_version_1_is_completed_at_once(desk: Desk) -> None:
    winner, loser = desk.connect(), desk.connect()
    desk.fund(loser, 100)
    body = settlement({winner: {"BTC": "30"}, loser: {"BTC": "-40"}}, notes="of today")
    answer = await desk.call("POST", "settlements", body)
    told = answer.body["settlement"]
    assert (200, {"settlement"}) == (answer.status, answer.body.keys())
    assert {
        "partnerId": PARTNER_ID, "externalId": body["externalId"], "status": "completed", "settlementType": "offchain",
        "reconciled": False, "initiatedBy": "operator", "notes": "of today", "lossSLAAlertSent": False,
        "gainSLAAlertSent": False,
    } == {name: told[name] for name in told if name not in ("id", "createdAt", "updatedAt", "finalizedAt")}  # fmt: skip
    assert told["createdAt"] <= told["updatedAt"] == told["finalizedAt"]
    assert (30, 60) == (desk.available(winner), desk.available(loser))


async def test_a_repeat_moves_nothing_and_is_answered_alike(desk: Desk) -> None:
    connection = desk.connect()
    body = json.dumps(settlement({connection: {"BTC": "30"}})).encode()
    first, second = [await desk.call("POST", "settlements", body) for _ in range(2)]
    assert (200, first.body) == (second.status, second.body)
    assert 30 == desk.available(connection)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_other_bytes_with_the_same_external_id_are_409(desk: Desk, endpoint: str) -> None:
    connection = desk.connect()
    body = asked(endpoint, {connection: {"BTC": "30"}})
    await desk.call("POST", endpoint, body)
    for other in (
        asked(endpoint, {connection: {"BTC": "31"}}, externalId=body["externalId"]),
        asked(endpoint, {connection: {"BTC": "30"}}, externalId=body["externalId"]),
        body | {"signature": sign(KEY, body["payload"])},
    ):
        answer = await desk.call("POST", endpoint, other)
        assert (409, ["error"]) == (answer.status, list(answer.body))
    other_version = next(each for each in ENDPOINTS if each != endpoint)
    changed = asked(other_version, {connection: {"BTC": "30"}}, externalId=body["externalId"])
    assert 409 == (await desk.call("POST", other_version, changed)).status
    assert (30 if endpoint == "settlements" else 0) == desk.available(connection)


async def test_version_1_without_funds_has_failed_and_succeeds_with_the_same_bytes_once_funded(desk: Desk) -> None:
    connection, winner = desk.connect(), desk.connect()
    desk.fund(connection, 39)
    body = json.dumps(settlement({connection: {"BTC": "-40"}, winner: {"BTC": "40"}})).encode()
    failed = await desk.call("POST", "settlements", body)
    told = failed.body["settlement"]
    assert (401, "failed") == (failed.status, told["status"])
    assert f"connection {connection} owes 40 BTC and has 39 available" == told["reason"]
    assert (39, 0) == (desk.available(connection), desk.available(winner))
    assert {"failed"} == {each["status"] for each in (await desk.settlement(told["id"]))["settlementTransfers"]}
    desk.fund(connection, 1)
    again = await desk.call("POST", "settlements", body)
    assert (200, "completed", told["id"]) == (
        again.status, again.body["settlement"]["status"], again.body["settlement"]["id"],
    )  # fmt: skip
    assert "reason" not in again.body["settlement"]
    assert (0, 40) == (desk.available(connection), desk.available(winner))


async def test_version_2_stays_pending_until_it_is_finalized(desk: Desk) -> None:
    winner, loser = desk.connect(), desk.connect()
    desk.fund(loser, 40)
    body = json.dumps(settlement({winner: {"BTC": "40"}, loser: {"BTC": "-40"}}, cutoffAt=CUTOFF)).encode()
    pending = await desk.call("POST", "v2/settlements", body)
    told = pending.body["settlement"]
    assert (200, "pending", CUTOFF, False, []) == (
        pending.status, told["status"], told["cutoffAt"], told["disputed"], pending.body["settlingDisputes"],
    )  # fmt: skip
    assert "finalizedAt" not in told
    assert pending.body == (await desk.call("POST", "v2/settlements", body)).body
    assert (0, 40) == (desk.available(winner), desk.available(loser))
    assert "completed" == (await desk.finalize(pending)).body["settlement"]["status"]
    assert (40, 0) == (desk.available(winner), desk.available(loser))
    assert 409 == (await desk.finalize(pending)).status
    assert "completed" == (await desk.call("POST", "v2/settlements", body)).body["settlement"]["status"]
    assert (40, 0) == (desk.available(winner), desk.available(loser))


async def test_version_2_over_what_is_allocated_is_422_and_leaves_nothing(desk: Desk) -> None:
    connection = desk.connect()
    desk.fund(connection, 39)
    body = settlement({connection: {"BTC": "-40"}}, cutoffAt=CUTOFF)
    answer = await desk.call("POST", "v2/settlements", body)
    assert (422, {"error": f"connection {connection} owes 40 BTC and has 39 available"}) == (answer.status, answer.body)
    assert {"settlements": []} == (await desk.call("GET", "settlements")).body
    desk.fund(connection, 1)
    assert 200 == (await desk.call("POST", "v2/settlements", body)).status


async def test_version_2_that_is_not_covered_at_the_end_fails_and_is_sent_again(desk: Desk) -> None:
    connection = desk.connect()
    desk.fund(connection, 40)
    body = json.dumps(settlement({connection: {"BTC": "-40"}}, cutoffAt=CUTOFF)).encode()
    pending = await desk.call("POST", "v2/settlements", body)
    taken = desk.order(Kind.DEALLOCATION, connection, 1)
    desk.ledger.set_status(taken, "reserved")
    assert "failed" == (await desk.finalize(pending)).body["settlement"]["status"]
    assert 422 == (await desk.call("POST", "v2/settlements", body)).status
    desk.ledger.set_status(taken, "released")
    assert "pending" == (await desk.call("POST", "v2/settlements", body)).body["settlement"]["status"]
    assert "completed" == (await desk.finalize(pending)).body["settlement"]["status"]
    assert 0 == desk.available(connection)


async def test_a_rejected_settlement_is_final(desk: Desk) -> None:
    connection = desk.connect()
    body = json.dumps(settlement({connection: {"BTC": "1"}}, cutoffAt=CUTOFF)).encode()
    pending = await desk.call("POST", "v2/settlements", body)
    path = f"settlements/{pending.body['settlement']['id']}"
    rejected = await desk.control("POST", f"{path}/reject", {"reason": "no"})
    assert ("rejected", "no") == (rejected.body["settlement"]["status"], rejected.body["settlement"]["reason"])
    assert "rejected" == (await desk.call("POST", "v2/settlements", body)).body["settlement"]["status"]
    assert [409, 409] == [(await desk.control("POST", f"{path}/{end}", {})).status for end in ("finalize", "reject")]
    assert 0 == desk.available(connection)


async def test_connections_towards_each_other(desk: Desk) -> None:
    one_, two = desk.connect(), desk.connect()
    desk.fund(two, 10)
    answer = await desk.call("POST", "settlements", settlement({one_: {two: {"BTC": "10"}}}))
    assert (200, 10, 0) == (answer.status, desk.available(one_), desk.available(two))
    back = await desk.call("POST", "settlements", settlement({one_: {two: {"BTC": "-4"}}}))
    assert (200, 6, 4) == (back.status, desk.available(one_), desk.available(two))


async def test_a_broker_nets_to_0(tmp_path: Path) -> None:
    async with open_desk(tmp_path / "ledger", configured={"is_broker": True}) as desk:
        one_, two = desk.connect(), desk.connect()
        desk.fund(two, 10)
        uneven = await desk.call("POST", "settlements", settlement({one_: {"BTC": "10"}, two: {"BTC": "-9"}}))
        assert (400, {}) == (uneven.status, uneven.body)
        even = await desk.call("POST", "settlements", settlement({one_: {"BTC": "10"}, two: {"BTC": "-10"}}))
        assert 200 == even.status
        between = await desk.call("POST", "settlements", settlement({two: {one_: {"BTC": "10"}}}))
        assert 200 == between.status


async def test_version_1_is_not_for_partners_with_disputes(tmp_path: Path) -> None:
    async with open_desk(tmp_path / "ledger", configured={"has_disputes": True}) as desk:
        answer = await desk.call("POST", "settlements", settlement({desk.connect(): {"BTC": "1"}}))
    assert (403, ["error"]) == (answer.status, list(answer.body))


async def test_decimals(tmp_path: Path) -> None:
    async with open_desk(tmp_path / "ledger", configured={"decimals": {"BTC": 8}}) as desk:
        connection = desk.connect()
        answer = await desk.call("POST", "settlements", settlement({connection: {"BTC": "0.00000001"}}))
        assert (200, 1) == (answer.status, desk.available(connection))
        await desk.call("POST", "settlements", settlement({connection: {"BTC": "1"}}))
        transfers = (await desk.settlement(answer.body["settlement"]["id"]))["settlementTransfers"]
        assert (100_000_001, ["0.00000001"]) == (desk.available(connection), [each["quantity"] for each in transfers])
        for amount, currency in [("0.000000001", "BTC"), ("1", "ETH"), ("0.0", "BTC"), ("01", "BTC"), ("1.", "BTC")]:
            refused = await desk.call("POST", "settlements", settlement({connection: {currency: amount}}))
            assert (400, {}) == (refused.status, refused.body)


async def test_what_is_reserved_can_be_cleared_before_a_settlement_moves_anything(tmp_path: Path) -> None:
    """Clears come at once or during settlement (contract, section 2)."""
    seen = []

    async def clear(connections: frozenset[str]) -> None:
        seen.append(connections)
        for each in list(desk.ledger.allocations()):
            if each.connection_id in connections and each.status == "reserved":
                desk.ledger.set_status(each.allocation_id, "cleared")

    async with open_desk(tmp_path / "ledger", before_settlement=clear) as desk:
        connection, other = desk.connect(), desk.connect()
        desk.ledger.set_status(desk.order(Kind.ALLOCATION, connection, 40), "reserved")
        body = settlement({other: {connection: {"BTC": "40"}}})
        assert 200 == (await desk.call("POST", "settlements", body)).status
        assert (0, 40) == (desk.available(connection), desk.available(other))
    assert [frozenset({connection, other})] == seen


@pytest.mark.slow
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
async def test_no_balance_falls_below_0_and_money_moves_as_asked(desk: Desk, data: st.DataObject) -> None:
    """Random settlements of version 1: all of it moves or nothing, and never more than there is."""
    connections = [each.connection_id for each in desk.ledger.connections()] or [desk.connect() for _ in range(3)]
    for each in connections:
        desk.fund(each, data.draw(st.integers(1, 50)))
    amount = st.integers(-60, 60).filter(bool).map(str)
    amounts = data.draw(
        st.dictionaries(st.sampled_from(connections), st.fixed_dictionaries({"BTC": amount}), min_size=1)
    )
    before = {each: desk.available(each) for each in connections}
    answer = await desk.call("POST", "settlements", settlement(amounts))
    wanted = {each: before[each] + int(amounts.get(each, {"BTC": "0"})["BTC"]) for each in connections}
    is_covered = min(wanted.values()) >= 0
    assert (200 if is_covered else 401) == answer.status
    assert (wanted if is_covered else before) == {each: desk.available(each) for each in connections}
    assert [] == desk.contradictions()


def test_a_signed_request_is_what_a_platform_in_javascript_sends() -> None:
    assert '{"a":"1","b":{"c":"é"}}' == signed({"a": "1", "b": {"c": "é"}})["payload"]
