"""Every edition of BitGo's documents is answered in its own words (contract, section 2)."""

import json
from typing import Any

import pytest

from bitgo.client import Reply, reserve_body
from schemas.words import Kind, Verb
from tests.endpoints.conftest import Site, ask

JSON = {"Content-Type": "application/json"}


async def send(site: Site, kind: Kind, body: dict[str, Any], literal: str) -> Reply:
    """A reserve with a quantity written as `literal`."""
    text = json.dumps(body | {"amount": {"currency": "BTC", "quantity": 12345678987654321}})
    raw = text.replace("12345678987654321", literal)
    return await site.bitgo.call("POST", f"/bitgo/v1/{kind}s", site.bitgo.headers() | JSON, data=raw.encode())


async def text_of(site: Site, path: str) -> str:
    assert site.bitgo._session is not None
    async with site.bitgo._session.get(path, headers=site.bitgo.headers()) as response:
        return await response.text()


@pytest.mark.parametrize(
    ("literal", "answered"),
    [
        ("5", "5"),
        ('"5"', '"5"'),
        ("1e+21", "1" + "0" * 21),
        ("1.5e+22", "15" + "0" * 21),
        ("9" * 78, "9" * 78),
        (f'"{"9" * 78}"', f'"{"9" * 78}"'),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
    ],
)
async def test_a_quantity_is_answered_in_its_form_as_plain_digits(site: Site, literal: str, answered: str) -> None:
    body = reserve_body(Kind.ALLOCATION)
    assert (await send(site, Kind.ALLOCATION, body, literal)).status == 200
    text = await text_of(site, f"/bitgo/v1/allocation/{body['allocationId']}")
    assert f'"quantity": {answered}}}' in text
    cleared = await site.bitgo.clear(Kind.ALLOCATION, body["allocationId"])
    assert (200, json.loads(answered)) == (cleared.status, cleared.body["amount"]["quantity"])


@pytest.mark.parametrize(
    "literal", ["1.0", "1e3", "1e78", "1e999999999", "-5", "0", "true", '"12.5"', '"1e21"', '"007"', "null"]
)
async def test_any_other_quantity_is_refused_with_its_field(site: Site, literal: str) -> None:
    reply = await send(site, Kind.ALLOCATION, reserve_body(Kind.ALLOCATION), literal)
    assert (400, ["amount.quantity"]) == (reply.status, [each["field"] for each in reply.body["errors"]])


async def test_a_repeat_in_another_form_is_the_same_content_and_is_answered_in_its_own_form(site: Site) -> None:
    body = reserve_body(Kind.ALLOCATION, 10**21)
    assert (await site.bitgo.reserve(Kind.ALLOCATION, body)).status == 200
    as_text = body | {"amount": {"currency": "BTC", "quantity": str(10**21)}}
    repeat = await site.bitgo.reserve(Kind.ALLOCATION, as_text)
    assert (200, str(10**21)) == (repeat.status, repeat.body["amount"]["quantity"])
    assert 10**21 == (await site.bitgo.status(Kind.ALLOCATION, body["allocationId"])).body["amount"]["quantity"]


SPELLINGS = [
    ({}, {}),
    ({"client": "partners"}, {"client": "partners"}),
    ({"partner": "partners"}, {"partner": "partners"}),
    ({"client": "partners", "partner": "partners"}, {"client": "partners", "partner": "partners"}),
]


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize(("sent", "answered"), SPELLINGS)
async def test_the_spelling_is_kept_for_clear_release_and_get(
    site: Site, kind: Kind, sent: dict[str, str], answered: dict[str, str]
) -> None:
    noun = kind.capitalize()
    for verb in (Verb.CLEAR, Verb.RELEASE):
        body = reserve_body(kind, 1)
        if kind is Kind.DEALLOCATION:
            await site.fund(body["connectionId"], 1)
        body[f"{sent.get('partner', 'partner')}{noun}Id"] = body.pop(f"partner{noun}Id")
        body[f"{sent.get('client', 'partner')}ClientId"] = body.pop("partnerClientId")
        reserved = await site.bitgo.reserve(kind, body)
        done = await ask(site.bitgo, kind, verb, body)
        read = await site.bitgo.status(kind, body[f"{kind}Id"])
        for reply, status in ((reserved, "reserved"), (done, f"{verb.rstrip('e')}ed"), (read, f"{verb.rstrip('e')}ed")):
            assert (200, body | {"status": status}) == (reply.status, reply.body)
    assert sent == answered


async def test_a_partner_id_that_is_absent_or_empty_is_minted_and_stays_the_same(site: Site) -> None:
    for kind in Kind:
        name = f"partner{kind.capitalize()}Id"
        body = reserve_body(kind, **{name: None})
        first = await site.bitgo.reserve(kind, body)
        again = await site.bitgo.reserve(kind, body | {name: ""})
        assert first.body[name] == again.body[name] != ""


async def test_a_client_id_is_answered_as_sent(site: Site) -> None:
    empty = reserve_body(Kind.ALLOCATION, partnerClientId="")
    absent = reserve_body(Kind.ALLOCATION, partnerClientId=None)
    for body in (empty, absent):
        assert body | {"status": "reserved"} == (await site.bitgo.reserve(Kind.ALLOCATION, body)).body
        cleared = await site.bitgo.clear(Kind.ALLOCATION, body["allocationId"])
        assert body | {"status": "cleared"} == cleared.body


async def test_two_spellings_with_different_values_are_refused(site: Site) -> None:
    body = reserve_body(Kind.ALLOCATION, partnersClientId="another")
    reply = await site.bitgo.reserve(Kind.ALLOCATION, body)
    assert (400, "partnersClientId") == (reply.status, reply.body["errors"][0]["field"])


async def test_text_is_not_trimmed_and_may_be_any_script(site: Site) -> None:
    body = reserve_body(Kind.ALLOCATION, partnersConnectionId="  счёт 7 💰 ", partnerClientId="é" * 256)
    assert body | {"status": "reserved"} == (await site.bitgo.reserve(Kind.ALLOCATION, body)).body
