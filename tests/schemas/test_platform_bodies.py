"""What the platform sends: changes of balances, and lifetimes of tokens (contract, sections 6 and 9)."""

import json
import uuid
from typing import Any

import pytest
from pydantic import ValidationError

from schemas import strict_json
from schemas.http import ActivateBody
from schemas.platform_bodies import AdjustmentBody, ConnectionTokenBody
from schemas.quantity import read_change

ID = str(uuid.uuid4())
ACTIVATION = {"clientId": ID, "connectionId": ID, "connectionToken": "token", "partnerId": "partner"}


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("5", 5),
        ("-5", -5),
        ('"5"', 5),
        ('"-5"', -5),
        ("-1e+21", -(10**21)),
        ("9" * 78, 10**78 - 1),
        ("-" + "9" * 78, 1 - 10**78),
    ],
)
def test_given_a_change_then_it_is_read_exactly(literal: str, value: int) -> None:
    assert value == read_change(strict_json.loads(literal.encode()))


@pytest.mark.parametrize(
    "literal",
    [
        *("0", "-0", "1.0", "-1.0", "1e3", "-1e3", "1e78", "-1e999999999", "true", "null", "[]", "{}"),
        *('"0"', '"-0"', '"--5"', '"+5"', '"- 5"', '"-"', '""', '"1e21"', '"-007"', '"5-"', '"٥"'),
        *("1" + "0" * 78, "-1" + "0" * 78),
    ],
)
def test_given_what_is_no_change_then_it_is_refused(literal: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        read_change(strict_json.loads(literal.encode()))


def read(model: Any, document: Any) -> Any:
    return model.model_validate(strict_json.loads(json.dumps(document).encode()))


def fields(model: Any, document: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        read(model, document)
    return [".".join(map(str, each["loc"])) for each in caught.value.errors()]


@pytest.mark.parametrize("token", ["t", "two\nlines", "x" * 4096, "é"])
@pytest.mark.parametrize("name", ["partnerId", "PartnerId"])
def test_given_an_activation_then_it_is_read(name: str, token: str) -> None:
    document = {key: value for key, value in ACTIVATION.items() if key != "partnerId"}
    body = read(ActivateBody, document | {name: "partner", "connectionToken": token, "clientWalletId": None, "x": 1})
    assert (token, "partner", None) == (body.connection_token, body.partner_id, body.client_wallet_id)
    assert "connection_token" not in repr(body)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"connectionToken": ""}, "connectionToken"),
        ({"connectionToken": "x" * 4097}, "connectionToken"),
        ({"connectionToken": "tab\t"}, "connectionToken"),
        ({"connectionToken": "\x7f"}, "connectionToken"),
        ({"connectionToken": 5}, "connectionToken"),
        ({"connectionToken": None}, "connectionToken"),
        ({"clientId": "x"}, "clientId"),
        ({"partnerId": None}, ""),
        ({"PartnerId": "another"}, ""),
        ({"keySchema": "clearloop"}, ""),
        ({"schema": "apiKeyAndSecret"}, ""),
        ({"connectionKey": {"schema": "tokenAndSignature"}}, ""),
        ({"connectionToken": None, "apiKey": "key", "apiSecret": "secret"}, ""),
        ({"signature": "of the token"}, ""),
    ],
)
def test_given_a_wrong_activation_then_its_field_is_named(change: dict[str, Any], field: str) -> None:
    assert [field] == fields(ActivateBody, ACTIVATION | change)


@pytest.mark.parametrize("seconds", [0, 86_401, -1, 1.5, "60", True, None, 1e3, 10**12])
def test_given_a_lifetime_that_is_none_then_it_is_refused(seconds: Any) -> None:
    document = {"partnersConnectionId": "account", "partnersClientId": "user", "expiresInSeconds": seconds}
    assert ["expiresInSeconds"] == fields(ConnectionTokenBody, document)


def test_given_no_lifetime_then_a_token_counts_for_a_quarter_of_an_hour() -> None:
    body = read(ConnectionTokenBody, {"partnersConnectionId": "account", "partnersClientId": "user"})
    assert 900 == body.expires_in_seconds


def test_given_a_currency_twice_then_the_adjustment_is_refused() -> None:
    entries = [{"currency": "BTC", "quantity": 1}, {"currency": "BTC", "quantity": -1}]
    document = {"adjustmentId": ID, "connectionId": ID, "reason": "trade", "entries": entries}
    assert [""] == fields(AdjustmentBody, document)
