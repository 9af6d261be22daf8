"""BitGo's read shape, and what its list may be asked (contract, section 5)."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from ingress.http.problems import ProblemError
from ingress.partner_reads import FILTER_MAX_VALUES, ListQuery, query_of, read_shape
from ingress.postgres.rows import AllocationRow, Content
from schemas.commands import Edition
from schemas.words import Kind, Status
from tests.support.commands import NOON

ID, CLIENT, CONNECTION = (f"{digit * 8}-1111-4111-8111-111111111111" for digit in "abc")
SCHEMA = json.loads((Path(__file__).parent.parent / "data" / "bitgo-allocation.schema.json").read_text())
BITGOS = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker())


def row(**changes: Any) -> AllocationRow:
    found = AllocationRow(
        allocation_id=ID,
        kind=Kind.ALLOCATION,
        status=Status.RESERVED,
        version=1,
        content=Content("BTC", "5", CLIENT, CONNECTION, "account", "mine", None, Edition()),
        rejection_reason=None,
        release_cause=None,
        client_external_id=None,
        initiated_by=None,
        notes=None,
        evaluation_id=None,
        pending_approval_id=None,
        policy_result=None,
        decided_by=None,
        created_at=NOON,
        updated_at=NOON,
    )
    return found._replace(**changes)


def test_given_the_least_of_a_row_then_what_is_required_is_made_of_it() -> None:
    assert {
        "id": ID,
        "amount": {"currency": "BTC", "quantity": "5"},
        "connectionId": CONNECTION,
        "clientExternalId": ID,
        "partnerExternalId": "mine",
        "initiatedBy": CLIENT,
        "createdAt": "2026-11-21T12:00:00.000Z",
        "updatedAt": "2026-11-21T12:00:00.000Z",
        "retriable": True,
        "reason": "waiting for BitGo to clear or release it",
        "status": "reserved",
        "type": "allocation",
    } == read_shape(row())


@pytest.mark.parametrize(
    ("status", "rejected_for", "expected"),
    [
        (Status.RESERVED, None, ("reserved", True, "waiting for BitGo to clear or release it")),
        (Status.CLEARED, None, ("cleared", False, None)),
        (Status.RELEASED, None, ("released", False, "released by BitGo")),
        (Status.REJECTED, "limit_exceeded", ("released", False, "limit_exceeded")),
    ],
)
def test_given_a_status_then_bitgo_reads_one_that_it_knows(
    status: Status, rejected_for: str | None, expected: tuple[str, bool, str | None]
) -> None:
    read = read_shape(row(status=status, rejection_reason=rejected_for))
    assert expected == (read["status"], read["retriable"], read["reason"])


@pytest.mark.parametrize(
    ("evaluation_id", "policy_result", "expected"),
    [("theirs", "approved", "theirs"), ("theirs", None, "theirs"), (None, "approved", "ours"), (None, None, None)],
)
def test_given_a_decision_then_it_is_named_by_their_evaluation_or_by_our_command(
    evaluation_id: str | None, policy_result: str | None, expected: str | None
) -> None:
    read = read_shape(row(evaluation_id=evaluation_id, policy_result=policy_result, decided_by="ours"))
    assert expected == read.get("evaluationId")


@given(
    st.sampled_from(Kind),
    st.sampled_from(Status),
    st.sampled_from([None, "approved", "rejected"]),
    st.lists(st.none() | st.just("text"), min_size=5, max_size=5),
)
def test_given_any_row_then_bitgos_schema_takes_it(
    kind: Kind, status: Status, policy_result: str | None, texts: list[str | None]
) -> None:
    names = ("client_external_id", "initiated_by", "notes", "evaluation_id", "pending_approval_id")
    found = row(kind=kind, status=status, policy_result=policy_result, **dict(zip(names, texts, strict=True)))
    assert [] == list(BITGOS.iter_errors({"allocation": read_shape(found)}))


def asked(query: str) -> ListQuery:
    return query_of(make_mocked_request("GET", f"/?{query}"))


def test_given_nothing_then_it_is_the_first_hundred_by_age_of_change() -> None:
    query = asked("")
    assert (0, 100, "updatedAt", "ASC") == (query.page_number, query.page_size, query.sort_field, query.sort_direction)
    assert query.statuses is None


def test_given_a_filter_several_times_then_its_values_add_up() -> None:
    query = asked(f"statuses=reserved,cleared&statuses=released&allocationIds={ID.upper()}&partnerIds=a,b")
    assert (["reserved", "cleared", "released"], [ID], ["a", "b"]) == (
        query.statuses,
        query.allocation_ids,
        query.partner_ids,
    )


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("allocationIds=x", "allocationIds"),
        ("types=loan", "types"),
        ("statuses=rejected", "statuses"),
        ("statuses=", "statuses"),
        ("currencies=a%20b", "currencies"),
        ("clientIds=,", "clientIds"),
        ("pageNumber=-1", "pageNumber"),
        ("pageNumber=1000001", "pageNumber"),
        ("pageNumber=%D9%A1", "pageNumber"),
        ("pageNumber=1e3", "pageNumber"),
        ("pageSize=0", "pageSize"),
        ("pageSize=501", "pageSize"),
        ("sortField=notes", "sortField"),
        ("sortDirection=asc", "sortDirection"),
        ("unknown=1", "unknown"),
        ("types=", "types"),
        ("statuses=reserved,", "statuses"),
        (f"connectionIds={ID}%20", "connectionIds"),
        ("clientIds=%00", "clientIds"),
        ("currencies=%00", "currencies"),
        ("partnerIds=a%00", "partnerIds"),
        ("pageNumber=99999999999999999999", "pageNumber"),
        ("pageNumber=1.5", "pageNumber"),
        ("allocationIds[]=1", "allocationIds[]"),
        ("pageNumber=0&pageNumber=1", "pageNumber"),
        ("sortField=id&sortField=quantity", "sortField"),
        ("clientIDs=1", "clientIDs"),
        (f"partnerIds={'a,' * FILTER_MAX_VALUES}a", "partnerIds"),
    ],
)
def test_given_what_can_not_be_asked_then_the_parameter_is_named(query: str, field: str) -> None:
    with pytest.raises(ProblemError) as caught:
        asked(query)
    assert (400, field) == (caught.value.status, caught.value.fields["errors"][0]["field"])
