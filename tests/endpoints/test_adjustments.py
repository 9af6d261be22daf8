"""Balances that trading moved: all entries or none, once for each id (contract, section 9)."""

import asyncio
import io
import json
import uuid
from typing import Any

from bitgo.client import BitGo, reserve_body
from schemas.words import Kind
from tests.endpoints.conftest import told
from tests.support.operator import Operator, adjustment_body, fund, on

D = Kind.DEALLOCATION
UNKNOWN = "8c1c0e3f-6c5e-4f0e-9a55-3d3b7d1f6a52"


def balances(operator: Operator, connection_id: str) -> dict[str, int]:
    rows = operator.system.rows(
        "SELECT currency, available::text, held::text FROM account WHERE connection_id = %s", connection_id
    )
    return {row["currency"]: int(row["available"]) for row in rows}


async def batch(operator: Operator, elements: list[Any]) -> list[dict[str, Any]]:
    reply = await operator.call("POST", "/adjustments/batch", json={"adjustments": elements})
    assert 200 == reply.status, reply.body
    results: list[dict[str, Any]] = reply.body["results"]
    assert len(elements) == len(results)
    return results


async def test_given_an_adjustment_then_it_is_booked_once(operator: Operator) -> None:
    connection = str(uuid.uuid4())
    body = adjustment_body(connection, {"ETH": 10**21, "BTC": "7"})
    reply = await operator.adjust(body)
    entries = [{"currency": "BTC", "quantity": "7"}, {"currency": "ETH", "quantity": str(10**21)}]
    expected = body | {"entries": entries, "status": "booked"}
    assert (200, expected) == (reply.status, reply.body)
    assert {"Command-Id", "Log-Position"} <= reply.headers.keys()
    turned = body | {"entries": body["entries"][::-1], "adjustmentId": body["adjustmentId"].upper()}
    again = await operator.adjust(turned)
    assert (200, expected) == (again.status, again.body)
    assert {"BTC": 7, "ETH": 10**21} == balances(operator, connection)
    found = await operator.call("GET", f"/adjustments/{body['adjustmentId']}")
    assert (200, expected) == (found.status, found.body)


async def test_given_other_content_under_one_id_then_it_is_a_conflict(operator: Operator) -> None:
    body = adjustment_body(str(uuid.uuid4()), {"BTC": 5})
    await operator.adjust(body)
    others = [
        body | {"reason": "another"},
        body | {"connectionId": str(uuid.uuid4())},
        body | {"entries": [{"currency": "BTC", "quantity": 6}]},
        body | {"entries": [{"currency": "BTC", "quantity": -5}]},
    ]
    assert {(409, "different_content")} == {told(await operator.adjust(each)) for each in others}
    assert {"BTC": 5} == balances(operator, body["connectionId"])


async def test_given_one_of_three_balances_would_be_overdrawn_then_none_is_booked(operator: Operator) -> None:
    connection = str(uuid.uuid4())
    await operator.adjust(adjustment_body(connection, {"BTC": 5, "ETH": 5, "SOL": 5}))
    body = adjustment_body(connection, {"BTC": 10, "ETH": -6, "SOL": -5})
    for _ in range(2):
        reply = await operator.adjust(body)
        assert (409, "insufficient_balance") == told(reply)
        assert {"Command-Id", "Log-Position"} <= reply.headers.keys()
    assert {"BTC": 5, "ETH": 5, "SOL": 5} == balances(operator, connection)
    assert (404, "not_found") == told(await operator.call("GET", f"/adjustments/{body['adjustmentId']}"))
    await operator.adjust(adjustment_body(connection, {"ETH": 1}))
    assert 200 == (await operator.adjust(body)).status, "a refusal leaves nothing: the same id may come again"
    assert {"BTC": 15, "ETH": 0, "SOL": 0} == balances(operator, connection)


async def test_given_one_adjustment_many_times_at_once_then_it_is_booked_once(operator: Operator) -> None:
    connection = str(uuid.uuid4())
    body = adjustment_body(connection, {"BTC": 5})
    other = body | {"entries": [{"currency": "BTC", "quantity": 3}]}
    replies = await asyncio.gather(*(operator.adjust(each) for each in [body, other] * 8))
    assert {(200, None), (409, "different_content")} == {told(reply) for reply in replies}
    winner = {reply.body["entries"][0]["quantity"] for reply in replies if reply.status == 200}
    assert 1 == len(winner)
    assert {"BTC": int(winner.pop())} == balances(operator, connection)


async def test_given_both_doors_at_once_then_an_adjustment_is_booked_once(operator: Operator) -> None:
    connection = str(uuid.uuid4())
    body = adjustment_body(connection, {"BTC": 5})
    single, results = await asyncio.gather(operator.adjust(body), batch(operator, [body, body]))
    assert 200 == single.status
    assert ["booked", "booked"] == [each["status"] for each in results]
    assert {"BTC": 5} == balances(operator, connection)


async def test_given_adjustments_beside_deallocations_then_the_log_orders_them(
    operator: Operator, bitgo: BitGo
) -> None:
    """What each found is what the one before it left; and the balance covers all that passed."""
    connection = await operator.connected()
    await fund(bitgo, connection, 10)
    adjustments = [operator.adjust(adjustment_body(connection["connectionId"], {"BTC": -2})) for _ in range(5)]
    holds = [bitgo.reserve(D, reserve_body(D, 2, **on(connection))) for _ in range(5)]
    replies = await asyncio.gather(*adjustments, *holds)
    passed = [each for each in replies if each.body.get("status") in ("booked", "reserved")]
    assert 5 == len(passed)
    facts = operator.system.rows(
        "SELECT (fact->>'sequence')::int AS sequence, (fact->>'availableBefore')::int AS available, "
        "(fact->>'heldBefore')::int AS held, outcome, kind FROM journal, jsonb_array_elements("
        "coalesce(facts->'accounts', jsonb_build_array(facts->'account'))) AS fact "
        "WHERE fact->>'connectionId' = %s ORDER BY 1",
        connection["connectionId"],
    )
    assert list(range(1, len(facts) + 1)) == [each["sequence"] for each in facts]
    available = 0
    for each in facts:
        assert available == each["available"]
        if each["sequence"] == 1:
            available = 10
        elif available >= 2:
            available -= 2


async def test_given_what_is_no_adjustment_then_the_fields_are_named(operator: Operator) -> None:
    good = adjustment_body(str(uuid.uuid4()), {"BTC": 5})
    bad = {
        "adjustmentId": good | {"adjustmentId": "x"},
        "connectionId": good | {"connectionId": None},
        "reason": good | {"reason": ""},
        "entries": good | {"entries": []},
        "entries.0.quantity": good | {"entries": [{"currency": "BTC", "quantity": 0}]},
        "note": good | {"note": "unknown"},
        "": good | {"entries": [{"currency": "BTC", "quantity": 1}, {"currency": "BTC", "quantity": 2}]},
    }
    for field, body in bad.items():
        reply = await operator.adjust(body)
        assert (400, [field]) == (reply.status, [each["field"] for each in reply.body["errors"]])
    too_many = [{"currency": f"C{number}", "quantity": 1} for number in range(101)]
    assert 400 == (await operator.adjust(good | {"entries": too_many})).status
    assert 200 == (await operator.adjust(good | {"entries": too_many[:100]})).status


async def test_given_bitgo_or_a_reader_then_nothing_is_adjusted(operator: Operator, bitgo: BitGo) -> None:
    body = adjustment_body(str(uuid.uuid4()), {"BTC": 5})
    for path in ("/platform/v1/adjustments", "/platform/v1/adjustments/batch"):
        assert 401 == (await bitgo.call("POST", path, json=body)).status
        assert 401 == (await bitgo.call("POST", path, {"Authorization": "Bearer wrong"}, json=body)).status
    assert 401 == (await bitgo.call("GET", f"/platform/v1/adjustments/{UNKNOWN}")).status
    assert {} == balances(operator, body["connectionId"])


async def test_given_respond_async_then_the_location_answers_as_the_write_would_have(operator: Operator) -> None:
    connection = str(uuid.uuid4())
    body = adjustment_body(connection, {"BTC": 5})
    accepted = await operator.adjust(body, Prefer="respond-async")
    outcome = await operator.bitgo.call("GET", accepted.headers["Location"], operator.headers)
    assert (202, 200, "booked") == (accepted.status, outcome.status, outcome.body["status"])
    assert accepted.headers["Command-Id"] == outcome.headers["Command-Id"]
    overdraw = await operator.adjust(adjustment_body(connection, {"BTC": -6}), Prefer="respond-async")
    refused = await operator.bitgo.call("GET", overdraw.headers["Location"], operator.headers)
    assert (409, "insufficient_balance") == told(refused)


async def test_given_a_batch_of_a_thousand_with_bad_ones_then_each_is_answered_by_itself(operator: Operator) -> None:
    connections = [str(uuid.uuid4()) for _ in range(20)]
    elements: list[Any] = [adjustment_body(connections[number % 20], {"BTC": 1, "ETH": 2}) for number in range(1000)]
    elements[3] = "no object"
    elements[500] = elements[500] | {"entries": [{"currency": "BTC", "quantity": 1.5}]}
    elements[700] = adjustment_body(connections[0], {"BTC": -(10**9)})
    elements[999] = elements[999] | {"adjustmentId": "x"}
    results = await batch(operator, elements)
    wrong = {index: each["code"] for index, each in enumerate(results) if each["status"] != "booked"}
    assert {3: "bad_request", 500: "bad_request", 700: "insufficient_balance", 999: "bad_request"} == wrong
    assert [400, 409] == [results[3]["status"], results[700]["status"]]
    assert "entries.0.quantity" == results[500]["errors"][0]["field"]
    booked = [index for index, each in enumerate(results) if each["status"] == "booked"]
    assert [elements[index]["adjustmentId"] for index in booked] == [results[index]["adjustmentId"] for index in booked]
    assert all({"commandId", "logPosition"} <= results[index].keys() for index in booked)
    assert 996 == sum(balances(operator, each)["BTC"] for each in connections)
    samples = await operator.system.metrics("ingress-0")
    assert samples['ingress_batch_adjustments_total{code="booked"}'] >= 996


async def test_given_one_id_twice_in_a_batch_then_the_first_comes_first(operator: Operator) -> None:
    for _ in range(10):
        connection = str(uuid.uuid4())
        first = adjustment_body(connection, {"BTC": 5})
        second = first | {"entries": [{"currency": "BTC", "quantity": 3}]}
        results = await batch(operator, [first, second, first])
        assert ["booked", 409, "booked"] == [each["status"] for each in results]
        assert {"BTC": 5} == balances(operator, connection)


async def test_given_what_is_no_batch_then_it_is_refused_as_a_whole(operator: Operator) -> None:
    one = adjustment_body(str(uuid.uuid4()), {"BTC": 1})
    for body in ({}, {"adjustments": []}, {"adjustments": [one] * 1001}, {"adjustments": [one], "more": 1}, []):
        assert (400, "bad_request") == told(await operator.call("POST", "/adjustments/batch", json=body))
    headers = {"Content-Type": "application/json"}
    for size, status in ((4 * 2**20, 200), (4 * 2**20 + 1, 413)):
        text = json.dumps({"adjustments": [one]}).ljust(size).encode()
        reply = await operator.call("POST", "/adjustments/batch", headers=headers, data=io.BytesIO(text))
        assert status == reply.status
    too_large = await operator.call("POST", "/adjustments", headers=headers, data=json.dumps(one).ljust(65537).encode())
    assert (413, "too_large") == told(too_large)
