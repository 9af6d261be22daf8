"""Disputes of version 2: what is disputed stays behind, what a closure leaves over comes next (section 10)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from schemas.words import Kind
from tests.support.bitgo_desk import PARTNER_ID, Answer, Desk, open_desk, settlement

UNKNOWN = "8c1c0e3f-6c5e-4f0e-9a55-3d3b7d1f6a52"
CUTOFF = "2026-08-11T12:00:00.000Z"


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(tmp_path / "ledger") as opened:
        yield opened


@dataclass
class Case:
    """A pending settlement by which `winner` gains 40 and `loser` loses 40 of its 100."""

    winner: str
    loser: str
    pending: Answer

    @property
    def id(self) -> str:
        return str(self.pending.body["settlement"]["id"])


@pytest.fixture
async def case(desk: Desk) -> Case:
    winner, loser = desk.connect(), desk.connect()
    desk.fund(loser, 100)
    return Case(winner, loser, await settle(desk, {winner: {"BTC": "40"}, loser: {"BTC": "-40"}}))


async def settle(desk: Desk, amounts: Any) -> Answer:
    answer = await desk.call("POST", "v2/settlements", settlement(amounts, cutoffAt=CUTOFF))
    assert 200 == answer.status, answer.body
    return answer


async def dispute(desk: Desk, case: Case, **fields: Any) -> dict[str, Any]:
    body = {"connectionId": case.loser, "reason": "too much", "expectedTransfers": {"BTC": "-30"}} | fields
    answer = await desk.control("POST", f"settlements/{case.id}/disputes", body)
    assert 200 == answer.status, answer.body
    told: dict[str, Any] = answer.body["dispute"]
    return told


async def disputes(desk: Desk, **query: Any) -> list[dict[str, Any]]:
    answer = await desk.call("GET", "settlement/disputes", params=query)
    assert 200 == answer.status, answer.headers
    listed: list[dict[str, Any]] = answer.body["disputes"]
    return listed


async def test_what_is_disputed_stays_behind(desk: Desk, case: Case) -> None:
    told = await dispute(desk, case)
    client = desk.ledger.connection(case.loser)
    assert client is not None
    assert {
        "connectionId": case.loser, "disputedSettlementId": case.id, "userId": client.client_id, "retracted": False,
        "expectedTransfers": {"BTC": "-30"}, "reason": "too much",
    } == {name: told[name] for name in told if name not in ("id", "createdAt", "updatedAt")}  # fmt: skip
    finalized = await desk.finalize(case.pending)
    assert ("completed", True) == (finalized.body["settlement"]["status"], finalized.body["settlement"]["disputed"])
    assert (40, 100) == (desk.available(case.winner), desk.available(case.loser))
    read = await desk.settlement(case.id)
    statuses = {each["destinationNetworkAccountId"]: each["status"] for each in read["settlementTransfers"]}
    assert {case.winner: "completed", case.loser: "disputed"} == statuses
    assert [told] == read["settlementDisputes"] == await disputes(desk)


async def test_a_retracted_dispute_changes_nothing(desk: Desk, case: Case) -> None:
    told = await dispute(desk, case)
    retracted = await desk.control("POST", f"disputes/{told['id']}/retract", {"reason": "a mistake"})
    assert (True, "a mistake") == (
        retracted.body["dispute"]["retracted"], retracted.body["dispute"]["retractedReason"],
    )  # fmt: skip
    assert False is (await desk.settlement(case.id))["settlement"]["disputed"]
    await desk.finalize(case.pending)
    assert (40, 60) == (desk.available(case.winner), desk.available(case.loser))
    assert ([], 1) == (await disputes(desk), len(await disputes(desk, showRetracted="true")))
    again = await desk.control("POST", f"disputes/{told['id']}/retract", {})
    assert 409 == again.status


async def test_a_dispute_is_retracted_after_the_settlement_failed_and_was_sent_again(desk: Desk, case: Case) -> None:
    third = desk.connect()
    desk.fund(third, 5)
    body = settlement({case.loser: {"BTC": "-40"}, third: {"BTC": "-5"}}, cutoffAt=CUTOFF)
    pending = await desk.call("POST", "v2/settlements", body)
    told = await dispute(desk, Case(case.winner, case.loser, pending))
    hold = desk.order(Kind.DEALLOCATION, third, 1)
    desk.ledger.set_status(hold, "reserved")
    assert "failed" == (await desk.finalize(pending)).body["settlement"]["status"]
    desk.ledger.set_status(hold, "released")
    assert "pending" == (await desk.call("POST", "v2/settlements", body)).body["settlement"]["status"]
    assert 200 == (await desk.control("POST", f"disputes/{told['id']}/retract", {})).status
    assert "completed" == (await desk.finalize(pending)).body["settlement"]["status"]
    assert (60, 0) == (desk.available(case.loser), desk.available(third))


async def test_a_closed_dispute_is_settled_in_the_next_settlement(desk: Desk, case: Case) -> None:
    told = await dispute(desk, case)
    await desk.finalize(case.pending)
    closed = await desk.control("POST", f"disputes/{told['id']}/close", {"notes": "30", "transfers": {"BTC": "-30"}})
    closure = closed.body["dispute"]["disputeClosure"]
    [rest] = closure["adjustedSettlementTransfers"]
    assert ("30", "admin", "-30", "pending_settlement_assignment") == (
        closure["notes"], closure["closedBy"], rest["quantity"], rest["status"],
    )  # fmt: skip
    following = await settle(desk, {case.winner: {"BTC": "1"}})
    [settling] = following.body["settlingDisputes"]
    assert (told["id"], following.body["settlement"]["id"]) == (settling["id"], settling["settledInSettlementId"])
    assert (40, 100) == (desk.available(case.winner), desk.available(case.loser))
    await desk.finalize(following)
    assert (41, 70) == (desk.available(case.winner), desk.available(case.loser))
    assert [] == (await settle(desk, {case.winner: {"BTC": "1"}})).body["settlingDisputes"]


async def test_the_rest_of_a_dispute_counts_among_the_liabilities_and_outlives_a_rejection(
    desk: Desk, case: Case
) -> None:
    told = await dispute(desk, case)
    await desk.finalize(case.pending)
    await desk.control("POST", f"disputes/{told['id']}/close", {"transfers": {"BTC": "-30"}})
    over = settlement({case.loser: {"BTC": "-71"}}, cutoffAt=CUTOFF)
    assert 422 == (await desk.call("POST", "v2/settlements", over)).status
    rejected = await settle(desk, {case.loser: {"BTC": "-70"}})
    await desk.control("POST", f"settlements/{rejected.body['settlement']['id']}/reject", {"reason": "no"})
    following = await settle(desk, {case.loser: {"BTC": "-1"}})
    assert [told["id"]] == [each["id"] for each in following.body["settlingDisputes"]]
    await desk.finalize(following)
    assert 69 == desk.available(case.loser)


async def test_a_dispute_of_one_side_keeps_a_transfer_between_connections_back(desk: Desk) -> None:
    one, two, three = desk.connect(), desk.connect(), desk.connect()
    desk.fund(two, 10)
    pending = await settle(desk, {one: {two: {"BTC": "4"}}, three: {two: {"BTC": "5"}}})
    await dispute(desk, Case(one, one, pending))
    await desk.finalize(pending)
    assert [0, 5, 5] == [desk.available(each) for each in (one, two, three)]


async def test_what_comes_too_late_or_does_not_belong_is_409(desk: Desk, case: Case) -> None:
    path = f"settlements/{case.id}/disputes"
    assert 409 == (await desk.control("POST", path, {"connectionId": desk.connect()})).status
    assert 409 == (await desk.control("POST", path, {"connectionId": UNKNOWN})).status
    told = await dispute(desk, case)
    assert 409 == (await desk.control("POST", path, {"connectionId": case.loser})).status
    assert 409 == (await desk.control("POST", f"disputes/{told['id']}/close", {})).status
    await desk.finalize(case.pending)
    assert 409 == (await desk.control("POST", path, {"connectionId": case.winner})).status
    assert 409 == (await desk.control("POST", f"disputes/{told['id']}/retract", {})).status
    assert 200 == (await desk.control("POST", f"disputes/{told['id']}/close", {})).status
    assert 409 == (await desk.control("POST", f"disputes/{told['id']}/close", {})).status


@pytest.mark.parametrize("path", [
    f"settlements/{UNKNOWN}/disputes", f"settlements/{UNKNOWN}/finalize", f"settlements/{UNKNOWN}/reject",
    f"disputes/{UNKNOWN}/retract", f"disputes/{UNKNOWN}/close",
])  # fmt: skip
async def test_what_is_unknown_is_404(desk: Desk, path: str) -> None:
    assert 404 == (await desk.control("POST", path, {})).status


@pytest.mark.parametrize("fields", [
    {"connectionId": "x"}, {"expectedTransfers": {"BTC": "0"}}, {"expectedTransfers": {"BTC": 1}}, {"reason": ""},
    {"x": 1},
])  # fmt: skip
async def test_a_wrong_dispute_is_400_with_a_sentence(desk: Desk, case: Case, fields: dict[str, Any]) -> None:
    answer = await desk.control("POST", f"settlements/{case.id}/disputes", {"connectionId": case.loser} | fields)
    assert (400, ["error"]) == (answer.status, list(answer.body))


async def test_listing(desk: Desk, case: Case) -> None:
    first = await dispute(desk, case)
    second = await dispute(desk, case, connectionId=case.winner)
    external_id = case.pending.body["settlement"]["externalId"]
    winner = desk.ledger.connection(case.winner)
    assert winner is not None
    await desk.finalize(case.pending)
    closed = await desk.control("POST", f"disputes/{first['id']}/close", {"transfers": {"BTC": "-1"}})
    closure = closed.body["dispute"]["disputeClosureId"]
    following = (await settle(desk, {case.winner: {"BTC": "1"}})).body["settlement"]
    both = sorted([first["id"], second["id"]])
    for query, expected in [
        ({}, both), ({"settlementIds": case.id}, both), ({"settlementIds": UNKNOWN}, []),
        ({"settlementExternalIds": external_id}, both), ({"settlementExternalIds": "other"}, []),
        ({"settledInSettlementIds": following["id"]}, [first["id"]]), ({"partnerIds": PARTNER_ID}, both),
        ({"settledInSettlementExternalIds": following["externalId"]}, [first["id"]]), ({"partnerIds": UNKNOWN}, []),
        ({"connectionIds": case.winner}, [second["id"]]), ({"clientIds": winner.client_id}, [second["id"]]),
        ({"disputeIds": first["id"]}, [first["id"]]), ({"disputeClosureIds": closure}, [first["id"]]),
        ({"closed": "true"}, [first["id"]]), ({"closed": "false"}, [second["id"]]),
    ]:  # fmt: skip
        assert expected == sorted(each["id"] for each in await disputes(desk, **query)), query
    pages = [await disputes(desk, pageSize=1, pageNumber=number) for number in range(3)]
    assert (both, []) == (sorted(each["id"] for page in pages[:2] for each in page), pages[2])
    assert [case.id] == [
        each["id"] for each in (await desk.call("GET", "settlements?onlyShowDisputed=true")).body["settlements"]
    ]


@pytest.mark.parametrize(
    "query", ["closed=1", "showRetracted=", "disputeIds=x", "pageSize=0", "connectionId=" + UNKNOWN]
)
async def test_a_wrong_filter_is_400(desk: Desk, query: str) -> None:
    answer = await desk.call("GET", f"settlement/disputes?{query}")
    assert (400, {}) == (answer.status, answer.body)
