"""What a partner may answer: a row for each cell of the contract's table, and for what a race makes possible."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitgo.simulator.editions import (
    Content,
    Edition,
    javascript_number,
    request_body,
    wrong_fields,
)
from bitgo.simulator.judge import Facts, acceptable, is_acceptable, word_of
from schemas.http import RESERVE_BODIES
from schemas.quantity import read_quantity
from schemas.strict_json import loads
from schemas.words import AfterFinal, Kind, Verb

CONFLICT, REISSUE = AfterFinal.CONFLICT, AfterFinal.REISSUE
NEW = Facts(CONFLICT)
RESERVED = Facts(CONFLICT, "reserved")
CLEARING = Facts(CONFLICT, "reserved", Verb.CLEAR)
CLEARED = Facts(CONFLICT, "reserved", Verb.CLEAR, "cleared")
RELEASED = Facts(CONFLICT, "reserved", Verb.RELEASE, "released")
GIVEN_UP = Facts(CONFLICT, None, Verb.RELEASE)
TOMBSTONE = Facts(CONFLICT, None, Verb.RELEASE, "not_found")


@pytest.mark.parametrize(
    ("verb", "sent", "now", "words"),
    [
        (Verb.RESERVE, NEW, NEW, {"reserved", "rejected"}),
        (Verb.RESERVE, NEW, RESERVED, {"reserved"}),
        (Verb.RESERVE, NEW, Facts(CONFLICT, "rejected"), {"rejected"}),
        (Verb.RESERVE, RESERVED, CLEARING, {"reserved", "already_cleared"}),
        (Verb.RESERVE, CLEARED, CLEARED, {"already_cleared"}),
        (Verb.RESERVE, RELEASED, RELEASED, {"already_released"}),
        (Verb.RESERVE, NEW, GIVEN_UP, {"reserved", "rejected", "already_released"}),
        (Verb.RESERVE, NEW, TOMBSTONE, {"already_released"}),
        (Verb.RESERVE, TOMBSTONE, TOMBSTONE, {"already_released"}),
        (Verb.CLEAR, CLEARING, CLEARING, {"cleared"}),
        (Verb.RELEASE, GIVEN_UP, GIVEN_UP, {"released", "rejected", "not_found"}),
        (Verb.RELEASE, GIVEN_UP, TOMBSTONE, {"not_found"}),
        (Verb.RELEASE, GIVEN_UP, Facts(CONFLICT, "rejected", Verb.RELEASE), {"rejected"}),
        (Verb.RELEASE, RELEASED, RELEASED, {"released"}),
        (Verb.RELEASE, Facts(REISSUE, is_new=False), Facts(REISSUE, is_new=False), {"released", "rejected"}),
    ],
)
def test_what_may_come(verb: Verb, sent: Facts, now: Facts, words: set[str]) -> None:
    assert words == acceptable(verb, sent, now)


def test_a_cleared_one_is_answered_by_the_setting_of_its_kind() -> None:
    cleared = Facts(REISSUE, "reserved", Verb.CLEAR, "cleared")
    assert {"cleared"} == acceptable(Verb.RESERVE, cleared, cleared)


@pytest.mark.parametrize(
    ("status", "body", "word"),
    [
        (200, {"status": "reserved"}, "reserved"),
        (422, {"status": "rejected"}, "rejected"),
        (404, {"error": "there is none"}, "not_found"),
        (404, {"code": "unknown_path"}, "404 unknown_path"),
        (409, {"code": "already_cleared"}, "already_cleared"),
        (409, None, "conflict"),
        (200, {"status": "done"}, "200 with status 'done'"),
        (200, "<html>", "200 with status None"),
        (500, "<html>", "500"),
    ],
)
def test_the_word_of_an_answer(status: int, body: object, word: str) -> None:
    assert word == word_of(status, body)


def test_a_conflict_that_does_not_say_which_is_one_only_where_one_is_due() -> None:
    assert is_acceptable("conflict", frozenset({"already_cleared"}))
    assert not is_acceptable("conflict", frozenset({"reserved"}))


def content(quantity: int, kind: Kind = Kind.ALLOCATION, partner_id: str | None = "p-1") -> Content:
    ids = [f"{number:08x}-aaaa-4bbb-8ccc-abcdefabcdef" for number in range(3)]
    return Content(kind, *ids, "account", "client", "BTC", quantity, partner_id, is_minted=partner_id is None)


@given(
    quantity=st.integers(1, 10**78 - 1),
    edition=st.sampled_from(Edition),
    kind=st.sampled_from(Kind),
    upper_case=st.booleans(),
    mints=st.booleans(),
)
def test_a_reserve_of_any_edition_is_one_that_the_product_reads_exactly(
    *, quantity: int, edition: Edition, kind: Kind, upper_case: bool, mints: bool
) -> None:
    sent = content(quantity, kind, None if mints else "p-1")
    body = RESERVE_BODIES[kind].model_validate(loads(request_body(sent, edition, upper_case=upper_case)))
    assert (quantity, sent.allocation_id, "client") == (body.amount.quantity.base_units, body.id, body.sent_client_id)
    assert (None if mints else "p-1") == body.partner_id


@given(st.integers(1, 10**15), st.integers(0, 62))
def test_javascripts_number_is_exact(digits: int, zeros: int) -> None:
    value = digits * 10**zeros
    assert value == read_quantity(loads(javascript_number(value).encode()))


def test_javascript_prints_exponents_from_1e21_on() -> None:
    assert ["999", "1" + "0" * 20, "1e+21", "1.5e+22", "1.23e+30"] == [
        javascript_number(value) for value in (999, 10**20, 10**21, 15 * 10**21, 123 * 10**28)
    ]


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({}, []),
        ({"partnerClientId": "other"}, ["partnerClientId"]),
        ({"partnerAllocationId": "other"}, ["partnerAllocationId"]),
        ({"amount": {"currency": "BTC", "quantity": "5"}}, ["amount.quantity"]),
        ({"amount": {"currency": "BTC", "quantity": 5.0}}, ["amount.quantity"]),
        ({"amount": {"currency": "BTC", "quantity": True}}, ["amount.quantity"]),
        ({"amount": {"currency": "ETH", "quantity": 5}}, ["amount.currency"]),
        ({"allocationId": None}, ["allocationId"]),
    ],
)
def test_what_is_not_answered_as_it_was_sent_is_named(change: dict[str, object], wrong: list[str]) -> None:
    answer = json.loads(request_body(content(5), Edition.SEED)) | change
    assert wrong == wrong_fields(content(5), Edition.SEED, answer)
