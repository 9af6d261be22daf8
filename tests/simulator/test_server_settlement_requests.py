"""What a settlement must look like: amounts, fields, payload and signature (contract, section 10)."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bitgo.simulator.signatures import new_key, sign
from tests.support.bitgo_desk import KEY, Desk, open_desk, settlement

UNKNOWN = "8c1c0e3f-6c5e-4f0e-9a55-3d3b7d1f6a52"
CUTOFF = "2026-08-11T12:00:00.000Z"
ENDPOINTS = ["settlements", "v2/settlements"]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(tmp_path / "ledger") as opened:
        yield opened


def asked(endpoint: str, amounts: Any, **fields: Any) -> dict[str, Any]:
    return settlement(amounts, **({"cutoffAt": CUTOFF} if endpoint.startswith("v2") else {}) | fields)


AMOUNTS: list[Any] = [
    {}, {"BTC": "1"}, "x", [], None, {UNKNOWN: {"BTC": "1"}}, {"id": {}}, {"id": {"BTC": "0"}}, {"id": {"BTC": "1.5"}},
    {"id": {"BTC": 1}}, {"id": {"BTC": "+1"}}, {"id": {"BTC": "01"}}, {"id": {"BTC": "1e3"}}, {"id": {"BTC": ""}},
    {"id": {"B C": "1"}}, {"id": {"": "1"}}, {"id": {"BTC": "9" * 79}}, {"id": {"BTC": "-" + "9" * 79}},
    {"id": {"BTC": "١"}}, {"id": {"id": {"BTC": "1"}}}, {"id": {UNKNOWN: {"BTC": "1"}}}, {"no-uuid": {"BTC": "1"}},
    {"id": {"BTC": "1"}, "ID": {"BTC": "1"}}, {"id": {UNKNOWN: {}}}, {"id": {"BTC": None}}, {"id": {"BTC": "9" * 5000}},
]  # fmt: skip


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("amounts", AMOUNTS)
async def test_wrong_amounts_are_400(desk: Desk, endpoint: str, amounts: Any) -> None:
    """`id` stands for a connection that exists, `ID` for the same in capitals."""
    connection = desk.connect()
    text = json.dumps(amounts).replace('"id"', f'"{connection}"').replace('"ID"', f'"{connection.upper()}"')
    answer = await desk.call("POST", endpoint, asked(endpoint, json.loads(text)))
    assert (400, {}) == (answer.status, answer.body)
    assert {"settlements": []} == (await desk.call("GET", "settlements")).body


@pytest.mark.parametrize(("endpoint", "fields"), [
    ("settlements", {"cutoffAt": CUTOFF}), ("v2/settlements", {"cutoffAt": None}),
    ("v2/settlements", {"cutoffAt": "yesterday"}), ("v2/settlements", {"cutoffAt": "2026-08-11T12:00:00"}),
    ("v2/settlements", {"cutoffAt": "9999-12-31T23:59:59-12:00"}), ("settlements", {"externalId": ""}),
    ("settlements", {"externalId": None}), ("settlements", {"nonce": None}), ("settlements", {"notes": ""}),
    ("settlements", {"x": "1"}),
])  # fmt: skip
async def test_a_wrong_field_is_400(desk: Desk, endpoint: str, fields: dict[str, Any]) -> None:
    answer = await desk.call("POST", endpoint, asked(endpoint, {desk.connect(): {"BTC": "1"}}, **fields))
    assert (400, {}) == (answer.status, answer.body)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_a_wrong_signature_is_401_without_a_settlement(desk: Desk, endpoint: str) -> None:
    connection = desk.connect()
    body = asked(endpoint, {connection: {"BTC": "1"}})
    answer = await desk.call("POST", endpoint, body | {"signature": sign(new_key(), body["payload"])})
    assert (401, {"error": "signature verification failed"}) == (answer.status, answer.body)
    more = body | {"settlementAmounts": {connection: {"BTC": "2"}}}
    assert 400 == (await desk.call("POST", endpoint, more)).status
    assert 0 == desk.available(connection)


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("extra", [{}, {"cutoffAt": CUTOFF}, {"notes": 'ünï "cödé" </script>'}])
async def test_the_payload_to_sign_can_be_signed_and_sent(desk: Desk, method: str, extra: dict[str, Any]) -> None:
    properties = {"externalId": "one", "settlementAmounts": {desk.connect(): {"BTC": "1"}}, "nonce": "once"} | extra
    answer = await desk.call(method, "settlements-signing", properties)
    payload = answer.body["payload"]
    assert (200, {"payload"}) == (answer.status, answer.body.keys())
    assert json.dumps(properties, separators=(",", ":"), ensure_ascii=False) == payload
    body = properties | {"payload": payload, "signature": sign(KEY, payload)}
    endpoint = "v2/settlements" if "cutoffAt" in extra else "settlements"
    assert 200 == (await desk.call("POST", endpoint, body)).status


@pytest.mark.parametrize("fields", [{"payload": "x"}, {"nonce": 1}, {"settlementAmounts": {}}])
async def test_a_payload_of_a_wrong_request_is_400(desk: Desk, fields: dict[str, Any]) -> None:
    properties = {"externalId": "one", "settlementAmounts": {desk.connect(): {"BTC": "1"}}, "nonce": "once"} | fields
    answer = await desk.call("POST", "settlements-signing", properties)
    assert (400, {}) == (answer.status, answer.body)
