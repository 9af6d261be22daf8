"""What a reserve's body may say, and the edition that is remembered of it (contract, section 2)."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from schemas import strict_json
from schemas.commands import Edition
from schemas.http import ReserveAllocationBody, ReserveBody, ReserveDeallocationBody

FULL: dict[str, Any] = {
    "allocationId": "0B0E4A5E-2C56-4A3C-9F2E-6A7D3F8B1C22",
    "amount": {"currency": "BTC", "quantity": 5},
    "clientId": "11111111-1111-4111-8111-111111111111",
    "connectionId": "22222222-2222-4222-8222-222222222222",
    "partnersConnectionId": " account 7 ",
    "partnerAllocationId": "p-1",
    "partnerClientId": "c-1",
}


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in FULL.items() if name not in names}


def read(document: dict[str, Any], model: type[ReserveBody] = ReserveAllocationBody) -> ReserveBody:
    return model.model_validate(strict_json.loads(json.dumps(document).encode()))


def fields_refused(document: dict[str, Any]) -> set[str]:
    with pytest.raises(ValidationError) as caught:
        read(document)
    return {".".join(map(str, error["loc"])) for error in caught.value.errors()}


def test_ids_are_compared_in_lower_case_and_text_is_not_trimmed() -> None:
    body = read(FULL)
    assert (FULL["allocationId"].lower(), " account 7 ") == (body.id, body.partners_connection_id)


@pytest.mark.parametrize("name", ["allocationId", "amount", "clientId", "connectionId", "partnersConnectionId"])
def test_required_fields(name: str) -> None:
    assert {name} == fields_refused(without(name))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("allocationId", "0b0e4a5e2c564a3c9f2e6a7d3f8b1c22"),
        ("allocationId", "{0b0e4a5e-2c56-4a3c-9f2e-6a7d3f8b1c22}"),
        ("allocationId", "0b0e4a5e-2c56-4a3c-9f2e-6a7d3f8b1c2z"),
        ("allocationId", 7),
        ("clientId", None),
        ("connectionId", ""),
        ("partnersConnectionId", ""),
        ("partnersConnectionId", 7),
        ("partnersConnectionId", "x" * 257),
        ("partnersConnectionId", "a\x00b"),
        ("partnersConnectionId", "a\ud800b"),
        ("partnersConnectionId", "a\x85b"),
        ("partnerClientId", 7),
        ("partnerClientId", "x" * 257),
        ("partnersAllocationId", "p-2"),
        ("partnersClientId", "c-2"),
        ("notes", "x" * 257),
        ("notes", "a\nb"),
    ],
)
def test_refused_fields(name: str, value: object) -> None:
    assert {name} == fields_refused(FULL | {name: value})


@pytest.mark.parametrize(
    "name",
    [
        *("partnerAllocationId", "partnersAllocationId", "partnerClientId", "partnersClientId"),
        *("clientExternalId", "initiatedBy", "notes", "evaluationId", "pendingApprovalId"),
    ],
)
def test_an_optional_field_that_is_null_counts_as_absent(name: str) -> None:
    assert read(without(name)) == read(FULL | {name: None})


@pytest.mark.parametrize("currency", ["", "B TC", "B\tTC", "x" * 65, "B\u00a0TC", "\ud800", 7, None])
def test_refused_currencies(currency: object) -> None:
    assert {"amount.currency"} == fields_refused(FULL | {"amount": {"currency": currency, "quantity": 5}})


@pytest.mark.parametrize("currency", ["BTC", "x" * 64, "tétum:usdc", "₿"])
def test_accepted_currencies(currency: str) -> None:
    assert currency == read(FULL | {"amount": {"currency": currency, "quantity": 5}}).amount.currency


@pytest.mark.parametrize("document", [[], "text", 5, None, [FULL]])
def test_a_body_that_is_no_object(document: Any) -> None:
    with pytest.raises(ValidationError):
        read(document)


def test_unknown_fields_are_ignored_and_known_inputs_kept_when_they_are_non_empty_strings() -> None:
    body = read(
        FULL
        | {
            "somethingNew": {"deep": [1]},
            "notes": "hello",
            "initiatedBy": "",
            "evaluationId": 7,
            "clientExternalId": None,
        }
    )
    assert ("hello", None, None, None) == (body.notes, body.initiated_by, body.evaluation_id, body.client_external_id)


def test_a_repeated_key_is_refused_at_any_depth() -> None:
    for text in ('{"a": 1, "a": 1}', '{"b": {"a": 1, "a": 2}}', '[{"a": 1, "a": 1}]'):
        with pytest.raises(strict_json.NotJsonError, match="repeated"):
            strict_json.loads(text.encode())


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b"\xef\xbb\xbf{}", b"[" * 100_000, b"nul", b"1" * 5000 + b"x"])
def test_what_is_no_json_is_said_to_be_none(raw: bytes) -> None:
    with pytest.raises(strict_json.NotJsonError):
        strict_json.loads(raw)


PLURAL_CLIENT = without("partnerClientId") | {"partnersClientId": "c-1"}
EDITIONS = [
    (FULL, Edition()),
    (FULL | {"amount": {"currency": "BTC", "quantity": "5"}}, Edition(quantity_form="string")),
    (PLURAL_CLIENT, Edition(client_id_spelling="partnersClientId")),
    (
        without("partnerAllocationId") | {"partnersAllocationId": "p-1"},
        Edition(partner_id_spelling="partners"),
    ),
    (
        {name: value for name, value in PLURAL_CLIENT.items() if name != "partnerAllocationId"},
        Edition(client_id_spelling="partnersClientId", partner_id_spelling="partners"),
    ),
    (
        without("partnerClientId", "partnerAllocationId") | {"partnersAllocationId": "p-1"},
        Edition(client_id_spelling="partnersClientId", partner_id_spelling="partners"),
    ),
    (without("partnerClientId", "partnerAllocationId"), Edition()),
    (FULL | {"partnersClientId": "c-1", "partnersAllocationId": "p-1"}, Edition()),
]


@pytest.mark.parametrize(("document", "edition"), EDITIONS)
def test_the_edition_of_a_request(document: dict[str, Any], edition: Edition) -> None:
    assert edition == read(document).edition


def test_an_empty_partner_id_counts_as_absent_and_an_empty_client_id_as_sent() -> None:
    body = read(FULL | {"partnerAllocationId": "", "partnerClientId": ""})
    assert (None, "") == (body.partner_id, body.sent_client_id)


def test_a_deallocation_has_its_own_names() -> None:
    document = without("allocationId", "partnerAllocationId") | {
        "deallocationId": FULL["allocationId"],
        "partnersDeallocationId": "p-9",
    }
    body = read(document, ReserveDeallocationBody)
    assert (FULL["allocationId"].lower(), "p-9", "partners") == (
        body.id,
        body.partner_id,
        body.edition.partner_id_spelling,
    )
