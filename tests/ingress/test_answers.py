"""Each outcome and its answer (contract, sections 2, 3 and 8)."""

import json
from typing import Any

import pytest
from aiohttp import web

from ingress.answers import answer, current
from ingress.http.problems import REFUSALS, ProblemError
from ingress.postgres.rows import AllocationRow, Content, OutcomeRow
from schemas.commands import RESERVES, Amount, Edition, Reserve
from schemas.records import Position
from schemas.words import AfterFinal, Kind, Outcome, Refusal, Rejection, Status, Verb
from tests.support.commands import NOON, stamps

PLACE = Position("commands", 3, 5)
ID, CLIENT, CONNECTION = (f"{digit * 8}-1111-4111-8111-111111111111" for digit in "abc")
STORED = Content("BTC", "5", CLIENT, CONNECTION, "account", "mine", "client", Edition())
PROOF = {"Command-Id": "the command", "Log-Position": "commands/3/5"}


def row(**changes: Any) -> OutcomeRow:
    applied = OutcomeRow(
        command_id="the command",
        subject_id=ID,
        kind=Kind.ALLOCATION,
        verb=Verb.RESERVE,
        outcome=Outcome.APPLIED,
        reason=None,
        status_after=Status.RESERVED,
        version_after=1,
        dead_letter=None,
        content=STORED,
    )
    return applied._replace(**changes)


def read(response: web.Response) -> tuple[int, dict[str, Any]]:
    assert isinstance(response.body, bytes)
    return response.status, json.loads(response.body)


def given(response: web.Response | ProblemError) -> dict[str, str]:
    """The headers that are ours."""
    return {name: value for name, value in response.headers.items() if name not in ("Content-Type", "Content-Length")}


@pytest.mark.parametrize("outcome", [Outcome.APPLIED, Outcome.REPEATED])
@pytest.mark.parametrize("status", [Status.RESERVED, Status.CLEARED, Status.RELEASED])
def test_given_a_success_then_the_allocation_is_answered_with_its_proof(outcome: Outcome, status: Status) -> None:
    response = answer(row(outcome=outcome, status_after=status, version_after=2), PLACE, 200)
    assert (
        200,
        {
            "allocationId": ID,
            "amount": {"currency": "BTC", "quantity": 5},
            "clientId": CLIENT,
            "connectionId": CONNECTION,
            "partnersConnectionId": "account",
            "partnerAllocationId": "mine",
            "partnerClientId": "client",
            "status": status,
        },
    ) == read(response)
    assert PROOF | {"Allocation-Version": "2"} == given(response)


@pytest.mark.parametrize("rejected_as", [200, 422])
@pytest.mark.parametrize("reason", Rejection)
def test_given_a_rejected_reserve_then_its_status_is_the_setting_s(rejected_as: int, reason: Rejection) -> None:
    status, document = read(answer(row(status_after=Status.REJECTED, reason=reason), PLACE, rejected_as))
    assert (rejected_as, "rejected", reason) == (status, document["status"], document["rejectionReason"])


@pytest.mark.parametrize("refusal", [each for each, (status, _) in REFUSALS.items() if status == 409])
def test_given_a_conflict_then_the_problem_names_it_and_the_status_that_stands(refusal: Refusal) -> None:
    with pytest.raises(ProblemError) as caught:
        answer(row(outcome=Outcome.REFUSED, reason=refusal, status_after=Status.CLEARED), PLACE, 200)
    status, document = read(caught.value.response())
    assert (409, refusal, "cleared") == (status, document["code"], document["allocationStatus"])
    assert PROOF | {"Allocation-Version": "1"} == given(caught.value)


@pytest.mark.parametrize("content", [None, STORED], ids=["no such id", "an id of the other kind"])
def test_given_a_refusal_for_no_such_id_then_nothing_tells_whether_the_other_kind_has_it(content: Any) -> None:
    with pytest.raises(ProblemError) as caught:
        answer(row(outcome=Outcome.REFUSED, reason="not_found", content=content), PLACE, 200)
    status, document = read(caught.value.response())
    assert (404, "not_found", False) == (status, document["code"], "allocationStatus" in document)
    assert PROOF == given(caught.value)


def test_given_an_expired_command_then_the_caller_is_asked_to_try_again() -> None:
    with pytest.raises(ProblemError) as caught:
        answer(row(outcome=Outcome.REFUSED, reason="expired", content=None), PLACE, 200)
    assert (503, "unavailable") == (caught.value.status, caught.value.code)
    assert PROOF | {"Retry-After": "1"} == given(caught.value)


def test_given_a_parked_record_then_the_fault_is_ours() -> None:
    with pytest.raises(ProblemError) as caught:
        answer(row(outcome=Outcome.PARKED, subject_id=None, kind=None, content=None), PLACE, 200)
    assert (500, "internal", PROOF) == (caught.value.status, caught.value.code, given(caught.value))


@pytest.mark.parametrize("kind", Kind)
def test_given_a_repeat_in_another_edition_then_it_is_answered_with_what_it_sent_and_our_first_id(kind: Kind) -> None:
    sent: Reserve = RESERVES[kind](
        **stamps(ID),
        amount=Amount(currency="BTC", quantity="5"),
        client_id=CLIENT,
        connection_id=CONNECTION,
        partners_connection_id="account",
        partner_allocation_id="another",
        partner_client_id="another client",
        edition=Edition(client_id_spelling="partnersClientId", partner_id_spelling="partners", quantity_form="string"),
        after_final=AfterFinal.CONFLICT,
    )
    _, document = read(answer(row(kind=kind, outcome=Outcome.REPEATED), PLACE, 200, sent))
    assert {
        f"{kind}Id": ID,
        "amount": {"currency": "BTC", "quantity": "5"},
        "clientId": CLIENT,
        "connectionId": CONNECTION,
        "partnersConnectionId": "account",
        f"partners{kind.capitalize()}Id": "mine",
        "partnersClientId": "another client",
        "status": "reserved",
    } == document


def test_given_an_allocation_then_it_is_answered_as_it_stands_now() -> None:
    now = AllocationRow(
        *(ID, Kind.ALLOCATION, Status.RELEASED, 7, STORED._replace(partner_client_id=None)),
        *(None, None, None, None, None, None, None, None, None, NOON, NOON),
    )
    status, document = read(current(now))
    assert (200, "released", False) == (status, document["status"], "partnerClientId" in document)
    assert {"Allocation-Version": "7"} == given(current(now))
