"""Commands as they are built from requests (decision 10; contract, section 2)."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from ingress.submit import DEADLINE_SECONDS, finish_command, reserve_command
from schemas import strict_json
from schemas.commands import Amount, Edition
from schemas.http import RESERVE_BODIES
from schemas.records import encode_command
from schemas.words import AfterFinal, Kind, Verb

ID, CLIENT, CONNECTION = (f"{digit * 8}-1111-4111-8111-111111111111" for digit in "abc")
KEPT = ("clientExternalId", "initiatedBy", "notes", "evaluationId", "pendingApprovalId")


def body(kind: Kind, **changes: object) -> str:
    return json.dumps(
        {
            f"{kind}Id": ID.upper(),
            "amount": {"currency": "BTC", "quantity": 7},
            "clientId": CLIENT,
            "connectionId": CONNECTION,
            "partnersConnectionId": "account",
        }
        | changes
    )


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("after_final", AfterFinal)
def test_given_a_reserve_then_its_command_has_all_of_it(kind: Kind, after_final: AfterFinal) -> None:
    noun, kept = kind.capitalize(), {name: f"the {name}" for name in KEPT}
    sent = body(kind, **{f"partners{noun}Id": "mine", "partnersClientId": "client", **kept, "unknown": [1]})
    command = reserve_command(RESERVE_BODIES[kind].model_validate(strict_json.loads(sent.encode())), after_final)
    assert (kind, Verb.RESERVE, ID, after_final) == (
        command.kind,
        command.verb,
        command.allocation_id,
        command.after_final,
    )
    assert Amount(currency="BTC", quantity="7") == command.amount
    assert (CLIENT, CONNECTION, "account") == (
        command.client_id,
        command.connection_id,
        command.partners_connection_id,
    )
    assert ("mine", "client") == (command.partner_allocation_id, command.partner_client_id)
    assert kept == {name: value for name, value in command.model_dump(by_alias=True).items() if name in KEPT}
    assert Edition(client_id_spelling="partnersClientId", partner_id_spelling="partners") == command.edition


@pytest.mark.parametrize(("sent", "expected"), [("1", "1"), (10**77, str(10**77)), ("9" * 78, "9" * 78)])
def test_given_a_quantity_of_any_size_then_no_digit_of_it_is_lost(sent: object, expected: str) -> None:
    text = body(Kind.ALLOCATION, amount={"currency": "BTC", "quantity": sent}, partnerAllocationId="mine")
    read = RESERVE_BODIES[Kind.ALLOCATION].model_validate(strict_json.loads(text.encode()))
    command = reserve_command(read, AfterFinal.CONFLICT)
    assert expected == command.amount.quantity
    assert f'"{expected}"'.encode() in encode_command(command)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("verb", [Verb.CLEAR, Verb.RELEASE])
def test_given_a_finish_then_its_command_names_kind_verb_and_id(kind: Kind, verb: Verb) -> None:
    command = finish_command(kind, verb, ID)
    assert (kind, verb, ID) == (command.kind, command.verb, command.allocation_id)


def test_given_two_commands_then_each_has_an_id_and_a_deadline_of_its_own() -> None:
    before = datetime.now(UTC)
    first, second = (finish_command(Kind.ALLOCATION, Verb.CLEAR, ID) for _ in range(2))
    assert first.command_id != second.command_id
    assert before <= first.received_at <= datetime.now(UTC)
    assert timedelta(seconds=DEADLINE_SECONDS) == first.deadline - first.received_at
