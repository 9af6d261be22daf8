"""What operators' reads may be asked, where their pages end, and a ledger as CSV, without a server."""

import base64
import csv
import io
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from ingress.http.problems import ProblemError
from ingress.platform import cursors, ledger_csv
from ingress.platform.cursors import (
    AfterAccount,
    AfterCommand,
    AfterConnection,
    AfterEntry,
    AfterReservation,
)
from ingress.platform.queries import (
    AccountsQuery,
    ConnectionsQuery,
    HistoryQuery,
    LedgerQuery,
    NoQuery,
    Query,
    ReservationsQuery,
    query_of,
)
from ingress.platform.reads import ledger_entries, place_of
from schemas.platform import LedgerEntry
from tests.support.commands import NOON

ID = "aaaaaaaa-1111-4111-8111-111111111111"
PLACES = [
    (cursors.CONNECTIONS, AfterConnection(ID)),
    (cursors.ACCOUNTS, AfterAccount("=BTC:€")),
    (cursors.LEDGER, AfterEntry(2**63 - 1, "9" * 120, "0")),
    (cursors.HISTORY, AfterCommand(0)),
    (cursors.RESERVATIONS, AfterReservation(datetime(2026, 11, 28, 12, 0, 0, 123456, UTC), ID)),
]


@pytest.mark.parametrize(("of", "place"), PLACES)
def test_given_a_cursor_when_it_comes_back_then_it_names_its_place(of: Any, place: Any) -> None:
    text = of.text(place)
    assert place == of.place(text)
    assert len(text) <= cursors.MAX_CHARACTERS


@pytest.mark.parametrize(("of", "place"), PLACES)
def test_given_a_cursor_of_another_list_then_it_is_refused(of: Any, place: Any) -> None:
    for other, _ in PLACES:
        if other is not of:
            with pytest.raises(ValueError, match="is no cursor of this list"):
                other.place(of.text(place))


def written(*values: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(values)).decode().rstrip("=")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "é",
        "=" * 10,
        "a" * 601,
        written("ledger"),
        written("ledger", 1),
        written("ledger", 1, "0", "0", "0"),
        written("ledger", -1, "0", "0"),
        written("ledger", 2**63, "0", "0"),
        written("ledger", "1", "0", "0"),
        written(*("ledger", True, "0", "0")),
        written("ledger", 1.0, "0", "0"),
        written("ledger", 1, "-1", "0"),
        written("ledger", 1, "1;", "0"),
        written("history", 1, "0", "0"),
        written({"ledger": 1}),
        base64.urlsafe_b64encode(b'["ledger", 1, "0", "0"]').decode().rstrip("="),
        base64.urlsafe_b64encode(b"[" * 400).decode().rstrip("="),
        written("ledger", 1, "0", "0") + "=",
    ],
)
def test_given_what_is_no_cursor_then_it_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no cursor of this list"):
        cursors.LEDGER.place(text)


@given(st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_given_anything_then_no_cursor_does_more_than_refuse_it(text: str) -> None:
    for of, _ in PLACES:
        with pytest.raises(ValueError, match="is no cursor of this list"):
            of.place(text)


def asked(model: type[Query], query: str) -> Any:
    return query_of(make_mocked_request("GET", f"/?{query}"), model)


def test_given_nothing_then_the_limits_are_those_that_are_documented() -> None:
    limits = [asked(model, "").limit for model in (ConnectionsQuery, AccountsQuery, HistoryQuery, ReservationsQuery)]
    assert [100, 500, 100, 100] == limits
    assert (None, None) == (asked(LedgerQuery, "").limit, asked(LedgerQuery, "").after)


def test_given_what_may_be_asked_then_it_is_understood() -> None:
    query = asked(ReservationsQuery, f"olderThan=60&limit=500&kind=allocation&connectionId={ID.upper()}")
    assert (60, 500, "allocation", ID) == (query.older_than, query.limit, query.kind, query.connection_id)
    assert asked(AccountsQuery, "openHolds=true").open_holds
    assert asked(LedgerQuery, f"after={cursors.LEDGER.text(AfterEntry(7, '5', '0'))}").after == AfterEntry(7, "5", "0")


@pytest.mark.parametrize(
    ("model", "query", "field"),
    [
        (ConnectionsQuery, "limit=0", "limit"),
        (ConnectionsQuery, "limit=501", "limit"),
        (ConnectionsQuery, "limit=1e2", "limit"),
        (ConnectionsQuery, "limit=%D9%A1", "limit"),
        (ConnectionsQuery, "limit=99999999999999999999", "limit"),
        (ConnectionsQuery, "limit=1&limit=1", "limit"),
        (ConnectionsQuery, "status=gone", "status"),
        (ConnectionsQuery, "clientId=1", "clientId"),
        (ConnectionsQuery, "partnersConnectionId=", "partnersConnectionId"),
        (ConnectionsQuery, "partnersConnectionId=%00", "partnersConnectionId"),
        (ConnectionsQuery, "partners_connection_id=a", "partners_connection_id"),
        (ConnectionsQuery, "after=x", "after"),
        (ConnectionsQuery, "after=", "after"),
        (AccountsQuery, "openHolds=1", "openHolds"),
        (AccountsQuery, "openHolds=", "openHolds"),
        (LedgerQuery, "format=xml", "format"),
        (LedgerQuery, "limit=100001", "limit"),
        (LedgerQuery, "openHolds=true", "openHolds"),
        (HistoryQuery, "after=1", "after"),
        (ReservationsQuery, "olderThan=-1", "olderThan"),
        (ReservationsQuery, "olderThan=1000000001", "olderThan"),
        (ReservationsQuery, "kind=loan", "kind"),
        (NoQuery, "limit=1", "limit"),
    ],
)
def test_given_what_can_not_be_asked_then_the_parameter_is_named(model: type[Query], query: str, field: str) -> None:
    with pytest.raises(ProblemError) as caught:
        asked(model, query)
    assert (400, field) == (caught.value.status, caught.value.fields["errors"][0]["field"])


def row(sequence: int, debit: str, credit: str, quantity: int, available: int, held: int, **changes: Any) -> tuple[Any]:
    named = {
        "sequence": sequence,
        "at": NOON,
        "debit": debit,
        "credit": credit,
        "quantity": str(quantity),
        "available": str(available),
        "held": str(held),
        "kind": "deallocation",
        "subject": ID,
        "verb": "reserve",
        "reason": None,
        "command": ID,
        "partition": 3,
        "offset": sequence,
    }
    return tuple((named | changes).values())  # type: ignore[return-value]


def balances(entries: list[LedgerEntry]) -> list[tuple[str, str, str, str, bool]]:
    return [(e.available_change, e.held_change, e.available, e.held, e.missing_before) for e in entries]


def test_given_movements_then_each_entry_says_what_changed_and_what_it_left() -> None:
    entries = ledger_entries(
        "commands",
        [
            row(1, "custody", "available", 10, 0, 0),
            row(2, "available", "held", 4, 10, 0),
            row(4, "held", "available", 1, 6, 4),
            row(5, "held", "custody", 3, 7, 3),
            row(6, "available", "trading", 7, 7, 0),
        ],
        None,
    )
    assert [
        ("10", "0", "10", "0", False),
        ("-4", "4", "6", "4", False),
        ("1", "-1", "7", "3", False),
        ("0", "-3", "7", "0", False),
        ("-7", "0", "0", "0", False),
    ] == balances(entries)
    assert ("commands/3/1", "2026-11-21T12:00:00.000Z") == (entries[0].position, entries[0].at)


def test_given_a_pruned_beginning_or_middle_then_the_balances_are_right_and_the_gap_is_said() -> None:
    rows = [
        row(7, "custody", "available", 1, 100, 5),
        row(9, "custody", "available", 1, 101, 5),
        row(12, "custody", "available", 1, 50, 0),
    ]
    entries = ledger_entries("commands", rows, None)
    assert [("101", "5", True), ("102", "5", False), ("51", "0", True)] == [each[2:] for each in balances(entries)]


def test_given_a_next_page_then_its_first_entry_follows_from_the_cursor() -> None:
    rows = [row(7, "custody", "available", 1, 0, 0), row(8, "custody", "available", 1, 1, 0)]
    first, second = ledger_entries("commands", rows, None)
    assert [second] == ledger_entries("commands", rows[1:], place_of(first))


HOSTILE = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", 'a"b', "a,b", "a\r\nb", "ok", ""]


@pytest.mark.parametrize("text", HOSTILE)
def test_given_text_of_others_then_its_cell_is_no_formula_and_a_reader_gets_all_of_it(text: str) -> None:
    entries = ledger_entries(
        "commands", [row(1, "available", "trading", 5, 5, 0, kind="adjustment", reason=text)], None
    )
    written_lines = ledger_csv.lines(ID, text, entries).decode()
    [cells] = csv.reader(io.StringIO(written_lines, newline=""), strict=True)
    found = dict(zip(ledger_csv.COLUMNS, cells, strict=True))
    for name in ("currency", "reason"):
        assert not found[name].startswith(("=", "+", "-", "@", "\t", "\r"))
        assert text == found[name].removeprefix("'")
    assert "-5" == found["availableChange"]
    assert written_lines.endswith("\r\n")


def test_given_the_header_then_it_is_one_line() -> None:
    assert (",".join(ledger_csv.COLUMNS) + "\r\n").encode() == ledger_csv.header()
