"""The development signer, like BitGo Express's `POST /api/v2/ofc/signPayload` (contract, section 10)."""

from pathlib import Path
from typing import Any

import pytest

from bitgo.simulator.signatures import is_signed_by
from tests.support.bitgo_desk import KEY, open_desk

PATH = "/api/v2/ofc/signPayload"


@pytest.mark.parametrize(("payload", "signed"), [
    ('{"a": "1"}', '{"a": "1"}'), ("any text ü", "any text ü"),
    ({"this": {"is": "a payload"}}, '{"this":{"is":"a payload"}}'),
])  # fmt: skip
async def test_it_signs_what_it_is_given(tmp_path: Path, payload: Any, signed: str) -> None:
    async with open_desk(tmp_path / "ledger", signing_key=KEY) as desk:
        body = {"walletId": "wallet", "payload": payload, "walletPassphrase": "secret"}
        answer = await desk.call("POST", PATH, body, bearer=None)
    assert (200, signed) == (answer.status, answer.body["payload"])
    assert is_signed_by(KEY.public_key(), signed, answer.body["signature"])


async def test_a_settlement_from_the_payload_to_the_money(tmp_path: Path) -> None:
    async with open_desk(tmp_path / "ledger", signing_key=KEY) as desk:
        connection = desk.connect()
        properties = {"externalId": "one", "settlementAmounts": {connection: {"BTC": "1"}}, "nonce": "once"}
        payload = (await desk.call("POST", "settlements-signing", properties)).body["payload"]
        signed = await desk.call("POST", PATH, {"walletId": "wallet", "payload": payload})
        answer = await desk.call("POST", "settlements", properties | signed.body)
        assert (200, 1) == (answer.status, desk.available(connection))


@pytest.mark.parametrize("body", [
    {}, {"walletId": "w"}, {"walletId": "w", "payload": ""}, {"walletId": "", "payload": "x"},
    {"walletId": "w", "payload": 1},
])  # fmt: skip
async def test_a_wrong_request_is_400_with_a_sentence(tmp_path: Path, body: Any) -> None:
    async with open_desk(tmp_path / "ledger", signing_key=KEY) as desk:
        answer = await desk.call("POST", PATH, body)
    assert (400, ["error"]) == (answer.status, list(answer.body))


async def test_without_a_key_there_is_no_signer(tmp_path: Path) -> None:
    async with open_desk(tmp_path / "ledger") as desk:
        assert 404 == (await desk.call("POST", PATH, {"walletId": "w", "payload": "x"})).status


@pytest.mark.parametrize("payload", ['{"a": ' + "9" * 5000 + "}", '{"a": "\\ud800"}', '{"a": 1e400}'])
async def test_given_a_payload_that_can_not_be_signed_then_it_is_400(tmp_path: Path, payload: str) -> None:
    async with open_desk(tmp_path / "ledger", signing_key=KEY) as desk:
        answer = await desk.call("POST", PATH, f'{{"walletId": "w", "payload": {payload}}}'.encode())
    assert (400, ["error"]) == (answer.status, list(answer.body))
