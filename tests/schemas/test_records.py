"""Every record on the wire against its golden file, so that a change of format is seen; and what is no command."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.commands import FINISHES, RESERVES, Amount, Command, Edition
from schemas.events import (
    AccountFact,
    AllocationCleared,
    AllocationEvent,
    AllocationRejected,
    AllocationReleased,
    AllocationReserved,
    DeallocationCleared,
    DeallocationRejected,
    DeallocationReleased,
    DeallocationReserved,
    Facts,
    PolicyFact,
)
from schemas.records import (
    NewerSchemaError,
    ParkedError,
    Position,
    decode_command,
    decode_event,
    encode_command,
    encode_event,
    event_document,
    event_headers,
    facts_document,
    key_of,
    position_of,
    traceparent_of,
)
from schemas.topics import partition_of
from schemas.words import AfterFinal, Kind, ParkReason, Rejection, Verb

GOLDEN = Path(__file__).parent.parent / "golden"
NOON = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)
ID = "0b0e4a5e-2c56-4a3c-9f2e-6a7d3f8b1c22"
HOME = partition_of(key_of(ID), 8)
STAMPS: dict[str, Any] = {
    "command_id": "33333333-3333-4333-8333-333333333333",
    "allocation_id": ID,
    "received_at": NOON,
    "deadline": NOON + timedelta(seconds=15),
}
CONTENT: dict[str, Any] = {
    "amount": Amount(currency="BTC", quantity="5"),
    "client_id": "11111111-1111-4111-8111-111111111111",
    "connection_id": "22222222-2222-4222-8222-222222222222",
    "partners_connection_id": "account 7",
}
EXTRAS: dict[str, Any] = {
    "partner_client_id": "",
    "client_external_id": "external",
    "initiated_by": "user",
    "notes": "nötes",
    "evaluation_id": "evaluation",
    "pending_approval_id": "approval",
}
HAPPENED: dict[str, Any] = {
    "allocation_id": ID,
    "version": 2,
    "occurred_at": NOON.replace(microsecond=123000),
    "command_id": STAMPS["command_id"],
    "partner_allocation_id": "p-1",
    **CONTENT,
}
OPENED = {**HAPPENED, **EXTRAS, "edition": Edition(), "policy_result": "approved"}
ACCOUNT = AccountFact(
    connection_id=CONTENT["connection_id"], currency="BTC", sequence=3, available_before="10", held_before="0"
)
POLICY = PolicyFact(verdict="approved", settings_version="0123456789ab")
REJECTED = PolicyFact(verdict="rejected", reason=Rejection.LIMIT_EXCEEDED, settings_version="0123456789ab")

COMMANDS: list[Command] = [
    *(
        RESERVES[kind](
            **STAMPS,
            **CONTENT,
            **EXTRAS,
            partner_allocation_id="p-1",
            edition=Edition(),
            after_final=AfterFinal.CONFLICT,
        )
        for kind in Kind
    ),
    *(FINISHES[kind, verb](**STAMPS) for kind in Kind for verb in (Verb.CLEAR, Verb.RELEASE)),
]
EVENTS: list[tuple[AllocationEvent, Facts]] = [
    (AllocationReserved(**OPENED), Facts(policy=POLICY)),
    (AllocationRejected(**OPENED, rejection_reason=Rejection.LIMIT_EXCEEDED), Facts(policy=REJECTED)),
    (AllocationCleared(**HAPPENED), Facts(account=ACCOUNT)),
    (AllocationReleased(**HAPPENED), Facts()),
    (DeallocationReserved(**OPENED), Facts(policy=POLICY, account=ACCOUNT)),
    (
        DeallocationRejected(**OPENED, rejection_reason=Rejection.LIMIT_EXCEEDED),
        Facts(policy=REJECTED, account=ACCOUNT),
    ),
    (DeallocationCleared(**HAPPENED), Facts(account=ACCOUNT)),
    (DeallocationReleased(**HAPPENED), Facts(account=ACCOUNT)),
]


def golden(name: str, value: bytes, headers: list[tuple[str, bytes]] | None = None) -> None:
    """Compare with the file; a file that is missing is a record that nobody has agreed to."""
    written = json.loads((GOLDEN / f"{name}.json").read_text())
    assert written == {"value": value.decode(), "headers": [[key, text.decode()] for key, text in headers or []]}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_commands_on_the_wire(command: Command) -> None:
    golden(type(command).__name__, encode_command(command))
    assert command == decode_command(key_of(ID), encode_command(command), HOME, 8)


@pytest.mark.parametrize(("event", "facts"), EVENTS, ids=lambda each: type(each).__name__)
def test_events_on_the_wire(event: AllocationEvent, facts: Facts) -> None:
    document = event_document(event)
    value = encode_event(document, facts_document(facts))
    golden(type(event).__name__, value, event_headers(document, ID, Position("allocation-commands", 4, 120), bytes(32)))
    assert (event, facts) == decode_event(value)


def test_an_event_names_the_command_that_caused_it() -> None:
    headers = event_headers(event_document(EVENTS[0][0]), ID, Position("allocation-commands", 4, 120), bytes(32))
    assert position_of(headers, "ce_id") == Position("allocation-commands", 4, 120)


def parked(value: bytes | None, key: bytes | None = key_of(ID), partition: int = HOME) -> ParkReason:
    with pytest.raises(ParkedError) as caught:
        decode_command(key, value, partition, 8)
    return caught.value.reason


VALID = json.loads(encode_command(COMMANDS[0]))


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\x00",
        b"\xff\xfe\x00",
        b"null",
        b"[]",
        b"{}",
        b'{"schemaVersion": 1}',
        b"[" * 60_000,
        json.dumps(VALID | {"amount": {"currency": "BTC", "quantity": 5}}).encode(),
        json.dumps(VALID | {"amount": {"currency": "BTC", "quantity": "1e21"}}).encode(),
        json.dumps(VALID | {"partnersConnectionId": "a\x00b"}).encode(),
        json.dumps(VALID | {"partnersConnectionId": "a\ud800b"}).encode(),
        json.dumps(VALID | {"receivedAt": "2026-11-21T12:00:00"}).encode(),
        json.dumps(VALID | {"receivedAt": 5}).encode(),
        json.dumps(VALID | {"receivedAt": "9999-12-31T23:59:59-23:59"}).encode(),
        json.dumps(VALID | {"deadline": "0001-01-01T00:00:00+23:59"}).encode(),
        json.dumps(VALID | {"command": "DeleteEverything"}).encode(),
        json.dumps(VALID | {"unknown": 1}).encode(),
        json.dumps(VALID | {"schemaVersion": "1"}).encode(),
        json.dumps(VALID | {"schemaVersion": 0}).encode(),
        json.dumps(VALID | {"schemaVersion": 1.5}).encode(),
        json.dumps(VALID).replace('"schemaVersion": 1', f'"schemaVersion": {"9" * 5000}').encode(),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_no_command(value: bytes | None) -> None:
    assert parked(value) == ParkReason.NOT_A_COMMAND


def test_a_key_that_is_not_the_id() -> None:
    value = encode_command(COMMANDS[0])
    for key in (None, b"", b"other", ID.upper().encode(), b"\xff"):
        assert parked(value, key) == ParkReason.KEY_IS_NOT_ITS_ID


def test_a_record_on_another_partition_than_its_keys() -> None:
    value = encode_command(COMMANDS[0])
    for partition in set(range(8)) - {HOME}:
        assert parked(value, partition=partition) == ParkReason.WRONG_PARTITION


@pytest.mark.parametrize("version", [2, 3, 999_999_999])
def test_a_newer_schema_version_is_not_ours_to_judge(version: int) -> None:
    with pytest.raises(NewerSchemaError, match=str(version)):
        decode_command(key_of(ID), json.dumps({"schemaVersion": version, "news": True}).encode(), HOME, 8)


@given(st.binary(max_size=2000))
def test_random_bytes_are_parked_and_nothing_else(value: bytes) -> None:
    parked(value)


@pytest.mark.slow
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_random_json_is_parked_and_nothing_else(document: Any) -> None:
    parked(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([("traceparent", b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01")], "00-" + "a" * 32 + "-" + "b" * 16 + "-01"),
        ([("traceparent", b"junk")], None),
        ([("traceparent", b"\xff")], None),
        ([("traceparent", None)], None),
        ([], None),
        (None, None),
    ],
)
def test_the_trace_of_a_record(headers: Any, expected: str | None) -> None:
    assert expected == traceparent_of(headers)


@pytest.mark.parametrize(
    "text", ["", "a/b", "topic/1", "topic/-1/5", "topic/1/5/6", "to pic/1/2", f"t/1/{'9' * 19}", "t/١/2"]
)
def test_what_is_no_position(text: str) -> None:
    with pytest.raises(ValueError, match="topic/partition/offset"):
        Position.parse(text)
