"""Rows and notifications that a newer version wrote, read by this one: what it does not know is left out."""

from typing import Any

import orjson
import pytest

from ingress.answers import refusal_of
from ingress.http.problems import ProblemError
from ingress.postgres.rows import allocation_row, outcome_row
from processor.domain.machine import Allocation
from processor.postgres.rows import state_of
from schemas.commands import Edition
from schemas.notifications import decode_notification, encode_notifications
from schemas.words import Outcome

ID = "aaaaaaaa-1111-4111-8111-111111111111"
NOON = "2026-11-28T12:00:00+00:00"
NEWS: dict[str, Any] = {"news": {"of": "a newer version"}}
ALLOCATION: dict[str, Any] = {
    **dict.fromkeys(("rejection_reason", "release_cause", "client_external_id", "initiated_by", "notes")),
    **dict.fromkeys(("evaluation_id", "pending_approval_id", "policy_result", "reissued_at", "partner_client_id")),
    "allocation_id": ID,
    "kind": "allocation",
    "status": "reserved",
    "version": 1,
    "currency": "BTC",
    "quantity": "5",
    "client_id": ID,
    "connection_id": ID,
    "partners_connection_id": "account",
    "partner_allocation_id": "mine",
    "edition": {"quantityForm": "string", **NEWS},
    "decided_by": ID,
    "created_at": NOON,
    "updated_at": NOON,
    **NEWS,
}
JOURNAL: dict[str, Any] = {
    "command_id": ID,
    "subject_id": ID,
    "kind": "allocation",
    "verb": "reserve",
    "outcome": "applied",
    "reason": None,
    "status_after": "reserved",
    "version_after": 1,
    "content": ALLOCATION,
    **NEWS,
}
EDITION = Edition(quantity_form="string")


def test_given_a_newer_processors_notification_then_the_outcome_is_read_from_it() -> None:
    [payload] = encode_notifications({3: 17}, [JOURNAL])
    newer = orjson.dumps(orjson.loads(payload) | NEWS).decode()
    [row] = decode_notification(newer).outcomes
    found = outcome_row(row)
    assert (ID, Outcome.APPLIED, "reserved") == (found.command_id, found.outcome, found.status_after)
    assert found.content is not None
    assert EDITION == found.content.edition  # type: ignore[union-attr]


def test_given_a_newer_versions_allocation_then_ingress_and_processor_read_it() -> None:
    assert EDITION == allocation_row(ALLOCATION).content.edition
    state = state_of(ALLOCATION)
    assert isinstance(state, Allocation)
    assert EDITION == state.edition


def test_given_an_edition_with_a_word_that_we_do_not_know_then_it_is_no_edition() -> None:
    with pytest.raises(ValueError, match="quantityForm"):
        Edition.of_row({"quantityForm": "a newer version's"})


def test_given_a_refusal_that_only_a_newer_ingress_can_say_then_the_outcome_is_pending() -> None:
    row = outcome_row(JOURNAL | {"outcome": "refused", "reason": "a_newer_word"})
    with pytest.raises(ProblemError) as caught:
        refusal_of(row, {"Command-Id": ID})
    assert (503, "outcome_pending", ID) == (caught.value.status, caught.value.code, caught.value.headers["Command-Id"])
