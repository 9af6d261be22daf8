"""Connections are activated with a one-time token, once for each account (contract, section 6)."""

import asyncio
import hashlib
import uuid
from pathlib import Path
from typing import Any

import psycopg
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bitgo.client import BitGo, activate_body, reserve_body
from schemas.words import Kind
from tests.endpoints.conftest import told
from tests.support.bitgo_cipher import encrypted
from tests.support.operator import Operator, adjustment_body, fund, new_account, on

A, D = Kind.ALLOCATION, Kind.DEALLOCATION
REFUSED = (403, "invalid_connection_token")
UNKNOWN = "8c1c0e3f-6c5e-4f0e-9a55-3d3b7d1f6a52"


async def test_given_a_token_then_it_activates_the_connection_that_it_was_issued_for(
    operator: Operator, bitgo: BitGo
) -> None:
    issued = await operator.issue()
    body = activate_body(issued["connectionToken"], clientWalletId="wallet", more="is ignored")
    reply = await bitgo.activate(body)
    expected = {
        "clientId": body["clientId"],
        "connectionId": body["connectionId"],
        "partnersClientId": issued["partnersClientId"],
        "partnersConnectionId": issued["partnersConnectionId"],
    }
    assert (200, expected) == (reply.status, reply.body)
    assert {"Command-Id", "Log-Position"} <= reply.headers.keys()
    again = await bitgo.activate(body)
    assert (200, expected) == (again.status, again.body)
    found = await bitgo.call("GET", f"/bitgo/v1/connections/{body['connectionId']}")
    assert (200, expected | {"status": "active"}) == (found.status, found.body)


async def test_given_an_activated_connection_then_other_content_under_its_id_is_a_conflict(
    operator: Operator, bitgo: BitGo
) -> None:
    """Before anything is said about the token."""
    token = await operator.token()
    body = activate_body(token)
    await bitgo.activate(body)
    others = [
        body | {"clientId": str(uuid.uuid4())},
        body | {"connectionToken": "unknown"},
        body | {"connectionToken": await operator.token()},
    ]
    assert {(409, "different_content")} == {told(await bitgo.activate(each)) for each in others}
    assert (
        200
        == (await bitgo.activate(body | {"partnerId": "another", "connectionId": body["connectionId"].upper()})).status
    )


async def test_given_a_token_that_does_not_count_then_all_are_refused_alike(operator: Operator, bitgo: BitGo) -> None:
    used, revoked, expired = [await operator.issue(), await operator.issue(), await operator.issue(expiresInSeconds=1)]
    await bitgo.activate(activate_body(used["connectionToken"]))
    assert 204 == (await operator.call("DELETE", f"/connection-tokens/{revoked['tokenHash']}")).status
    await asyncio.sleep(1.2)
    tokens = [each["connectionToken"] for each in (used, revoked, expired)]
    replies = [await bitgo.activate(activate_body(token)) for token in (*tokens, "unknown", "two\nlines", "x" * 4096)]
    assert {REFUSED} == {told(reply) for reply in replies}
    assert 1 == len({str(reply.body) for reply in replies})


async def test_given_an_account_that_is_connected_then_another_token_of_it_is_a_conflict(
    operator: Operator, bitgo: BitGo
) -> None:
    account = new_account()
    await operator.connected(account)
    token = await operator.token(account)
    for _ in range(2):
        assert (409, "account_connected") == told(await bitgo.activate(activate_body(token)))


async def test_given_an_account_that_holds_assets_then_it_is_not_connected(operator: Operator, bitgo: BitGo) -> None:
    account = new_account()
    first = await operator.connected(account)
    await fund(bitgo, first, 5)
    await operator.change("deactivate", first["connectionId"])
    body = activate_body(await operator.token(account))
    assert (409, "account_not_empty") == told(await bitgo.activate(body))
    taken = await operator.adjust(adjustment_body(first["connectionId"], {"BTC": -5}))
    assert 200 == taken.status
    assert 200 == (await bitgo.activate(body)).status, "a refusal has not spent the token"


async def test_given_one_token_twice_at_once_then_one_wins(operator: Operator, bitgo: BitGo) -> None:
    for _ in range(10):
        token = await operator.token()
        replies = await asyncio.gather(*(bitgo.activate(activate_body(token)) for _ in range(4)))
        assert [(200, None), REFUSED, REFUSED, REFUSED] == sorted(map(told, replies), key=str)


async def test_given_two_tokens_of_one_account_at_once_then_one_wins(operator: Operator, bitgo: BitGo) -> None:
    for _ in range(10):
        account = new_account()
        tokens = [await operator.token(account) for _ in range(3)]
        replies = await asyncio.gather(*(bitgo.activate(activate_body(token)) for token in tokens))
        assert [(200, None), (409, "account_connected"), (409, "account_connected")] == sorted(
            map(told, replies), key=str
        )
        rows = operator.system.rows("SELECT 1 FROM connection WHERE partners_connection_id = %s", account)
        assert 1 == len(rows)


async def test_given_a_connection_then_only_reserves_that_fit_it_pass(operator: Operator, bitgo: BitGo) -> None:
    token = await operator.token()
    body = activate_body(token)
    ids = {name: body[name] for name in ("clientId", "connectionId")}

    async def reserve(**fields: Any) -> str:
        reply = await bitgo.reserve(A, reserve_body(A, **(ids | fields)))
        return str(reply.body.get("rejectionReason", reply.body["status"]))

    assert "unknown_connection" == await reserve()
    connection = (await bitgo.activate(body)).body
    right = on(connection)
    mismatches = [
        right | {"clientId": str(uuid.uuid4())},
        right | {"partnersConnectionId": "another"},
        right | {"partnerClientId": "another"},
    ]
    assert ["connection_mismatch"] * 3 == [await reserve(**each) for each in mismatches]
    assert ["reserved"] * 2 == [await reserve(**right), await reserve(**right | {"partnerClientId": None})]
    await operator.change("deactivate", connection["connectionId"])
    assert "inactive_connection" == await reserve(**right)
    await operator.change("reactivate", connection["connectionId"])
    assert "reserved" == await reserve(**right)


async def test_given_a_connection_then_it_is_deactivated_and_activated_again(operator: Operator) -> None:
    connection = await operator.connected()
    states = []
    for word in ("deactivate", "deactivate", "reactivate", "reactivate"):
        reply = await operator.change(word, connection["connectionId"])
        assert {"Command-Id", "Log-Position"} <= reply.headers.keys()
        assert connection == {name: value for name, value in reply.body.items() if name != "status"}
        states.append((reply.status, reply.body["status"]))
    assert [(200, "inactive"), (200, "inactive"), (200, "active"), (200, "active")] == states


async def test_given_a_successor_then_a_connection_is_not_activated_again(operator: Operator) -> None:
    account = new_account()
    first = await operator.connected(account)
    await operator.change("deactivate", first["connectionId"])
    await operator.connected(account)
    assert (409, "account_connected") == told(await operator.change("reactivate", first["connectionId"]))


async def test_given_no_connection_then_it_is_not_found(operator: Operator, bitgo: BitGo) -> None:
    for word in ("deactivate", "reactivate"):
        assert (404, "not_found") == told(await operator.change(word, UNKNOWN))
        assert (400, "bad_request") == told(await operator.change(word, "no-uuid"))
    reply = await bitgo.call("GET", f"/bitgo/v1/connections/{UNKNOWN}")
    assert (404, "there is no such connection") == (reply.status, reply.body["detail"])


async def test_given_a_deactivation_beside_a_clear_then_the_clear_is_never_refused(
    operator: Operator, bitgo: BitGo
) -> None:
    for _ in range(5):
        connection = await operator.connected()
        bodies = [reserve_body(A, **on(connection)) for _ in range(5)]
        assert {"reserved"} == {(await bitgo.reserve(A, body)).body["status"] for body in bodies}
        clears = [bitgo.clear(A, body["allocationId"]) for body in bodies]
        *cleared, changed = await asyncio.gather(*clears, operator.change("deactivate", connection["connectionId"]))
        assert [200] * 6 == [reply.status for reply in (*cleared, changed)]


async def test_given_an_activation_beside_reserves_then_each_fits_its_place(operator: Operator, bitgo: BitGo) -> None:
    """What was unknown stays rejected; what is reserved has seen the connection."""
    for _ in range(5):
        issued = await operator.issue()
        body = activate_body(issued["connectionToken"])
        fields = on(body | {name: issued[name] for name in ("partnersClientId", "partnersConnectionId")})
        reserves = [bitgo.reserve(A, reserve_body(A, **fields)) for _ in range(6)]
        activated, *reserved = await asyncio.gather(bitgo.activate(body), *reserves)
        assert 200 == activated.status
        assert {reply.body.get("rejectionReason") for reply in reserved} <= {None, "unknown_connection"}
        assert "reserved" == (await bitgo.reserve(A, reserve_body(A, **fields))).body["status"]


async def test_given_respond_async_then_the_location_answers_as_the_write_would_have(
    operator: Operator, bitgo: BitGo
) -> None:
    prefer = {"Prefer": "respond-async"}
    token = await operator.token()
    body = activate_body(token)
    accepted = await bitgo.activate(body, **prefer)
    assert 202 == accepted.status
    outcome = await bitgo.call("GET", accepted.headers["Location"])
    assert (200, {"clientId", "connectionId", "partnersClientId", "partnersConnectionId"}) == (
        outcome.status,
        outcome.body.keys(),
    )
    assert accepted.headers["Command-Id"] == outcome.headers["Command-Id"]
    refused = await bitgo.activate(activate_body(token), **prefer)
    assert REFUSED == told(await bitgo.call("GET", refused.headers["Location"]))
    changed = await operator.change("deactivate", body["connectionId"], **prefer)
    answered = await bitgo.call("GET", changed.headers["Location"], operator.headers)
    assert (202, 200, "inactive") == (changed.status, answered.status, answered.body["status"])
    position = {"position": accepted.headers["Log-Position"]}
    other = await bitgo.call("GET", f"/bitgo/v1/connections/{UNKNOWN}", params=position)
    assert (404, "not_found") == told(other)


async def test_given_the_wrong_caller_then_nothing_is_done(operator: Operator, bitgo: BitGo) -> None:
    token = await operator.token()
    body = activate_body(token)
    headers = bitgo.headers()
    assert 200 == (await bitgo.call("POST", "/bitgo/v1/connections", headers, json=body)).status
    again = await bitgo.call("POST", "/bitgo/v1/connections", headers, json=body)
    by_operator = await bitgo.call("POST", "/bitgo/v1/connections", operator.headers, json=body)
    path = f"/platform/v1/connections/{body['connectionId']}/deactivate"
    by_bitgo = await bitgo.call("POST", path)
    issued = await bitgo.call("POST", "/platform/v1/connection-tokens", json={})
    listed = await bitgo.call("GET", "/platform/v1/connection-tokens")
    assert [401] * 5 == [each.status for each in (again, by_operator, by_bitgo, issued, listed)]


async def test_given_another_key_schema_then_a_sentence_says_so(operator: Operator, bitgo: BitGo) -> None:
    token = await operator.token()
    for schema in ("tokenAndSignature", "apiKeyAndSecret", "clearloop"):
        reply = await bitgo.activate(activate_body(token, connectionKey={"schema": schema}))
        assert 400 == reply.status
        assert schema in reply.body["detail"]
        assert "only `token`" in reply.body["detail"]


async def test_given_tokens_then_they_are_listed_without_their_text(operator: Operator, bitgo: BitGo) -> None:
    issued, revoked = await operator.issue(expiresInSeconds=60), await operator.issue()
    assert hashlib.sha256(issued["connectionToken"].encode()).hexdigest() == issued["tokenHash"]
    assert 43 == len(issued["connectionToken"])
    connection = (await bitgo.activate(activate_body(issued["connectionToken"]))).body
    await operator.call("DELETE", f"/connection-tokens/{revoked['tokenHash']}")
    reply = await operator.call("GET", "/connection-tokens")
    assert (200, "no-store") == (reply.status, reply.headers["Cache-Control"])
    listed = {each["tokenHash"]: each for each in reply.body["connectionTokens"]}
    assert (connection["connectionId"], "operator") == (
        listed[issued["tokenHash"]]["connectionId"],
        listed[issued["tokenHash"]]["issuedBy"],
    )
    assert issued["expiresAt"] == listed[issued["tokenHash"]]["expiresAt"]
    assert "revokedAt" in listed[revoked["tokenHash"]]
    assert issued["connectionToken"] not in str(reply.body)


async def test_given_no_such_token_then_it_can_not_be_revoked(operator: Operator) -> None:
    assert (404, "not_found") == told(await operator.call("DELETE", f"/connection-tokens/{'0' * 64}"))
    assert (400, "bad_request") == told(await operator.call("DELETE", "/connection-tokens/no-hash"))


async def test_no_token_is_in_any_log(operator: Operator, bitgo: BitGo) -> None:
    token = await operator.token()
    await bitgo.activate(activate_body(token))
    await bitgo.activate(activate_body(token, clientId="wrong"))
    for each in operator.system.health:
        assert token not in operator.system.log(each).read_text()


async def test_given_a_key_then_encrypted_and_plain_tokens_activate(operator: Operator, tmp_path: Path) -> None:
    """What cannot be decrypted is answered as any unknown token."""
    key, other = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    file = tmp_path / "platform.pem"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    async with await operator.system.ingress("ingress-decrypting", connection_token_key_files=str(file)) as bitgo:
        operator = Operator(operator.system, bitgo)
        token = await operator.token()
        body = activate_body(encrypted(token, key))
        assert 200 == (await bitgo.activate(body)).status
        assert 200 == (await bitgo.activate(body | {"connectionToken": encrypted(token, key)})).status
        assert 200 == (await bitgo.activate(activate_body(await operator.token()))).status
        replies = [
            await bitgo.activate(activate_body(each))
            for each in (encrypted(await operator.token(), other), encrypted("unknown", key), "unknown")
        ]
        assert {REFUSED} == {told(reply) for reply in replies}
        assert 1 == len({str(reply.body) for reply in replies})


async def test_given_no_tables_then_nothing_is_published_and_bitgos_token_is_not_used(
    operator: Operator, bitgo: BitGo
) -> None:
    """What a token was issued for can not be known then: `unavailable`, and the same request again."""
    body, headers = activate_body(await operator.token()), bitgo.headers()
    with psycopg.connect(operator.system.database_url) as locking:
        locking.execute("LOCK TABLE connection_token")
        reply = await bitgo.call("POST", "/bitgo/v1/connections", headers, json=body)
        assert (503, "unavailable") == told(reply)
        assert "Command-Id" not in reply.headers
    assert 200 == (await bitgo.call("POST", "/bitgo/v1/connections", headers, json=body)).status
