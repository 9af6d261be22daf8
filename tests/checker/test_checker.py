"""The checker over small histories: nothing is found in a right one, and the right verdict when one thing is broken."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.checker import show
from tests.checker.check import check
from tests.checker.findings import Findings, Verdict
from tests.checker.small import ACCOUNT, SECOND, A, D, Small, T, asked, event, journaled

Break = Callable[[Small], None]


def test_nothing_is_found_in_a_right_history() -> None:
    small = Small()
    findings = small.check()
    assert [] == findings.examples
    assert findings.is_clean


def at(partition: int, offset: int, **more: Any) -> dict[str, Any]:
    return {"partition": partition, "offset": offset} | more


def answer(partition: int, offset: int, /, **columns: Any) -> Break:
    return lambda small: small.change("call", at(partition, offset), **columns)


def read(**columns: Any) -> Break:
    return lambda small: small.change("call", {"verb": "read"}, **columns)


def journal(partition: int, offset: int, /, **columns: Any) -> Break:
    return lambda small: small.change("journal", at(partition, offset), **columns)


def drop(table: str, **where: Any) -> Break:
    return lambda small: small.drop(table, **where)


def account(**columns: Any) -> Break:
    return lambda small: small.change("account", ACCOUNT, **columns)


def row(subject: str, **columns: Any) -> Break:
    return lambda small: small.change("allocation", {"id": subject}, **columns)


def a_record_again(small: Small) -> None:
    """The producer wrote the clear of A twice."""
    small.drop("call", partition=0, offset=2)
    small.change("record", at(0, 2), command_id="command-0-1", trace="trace-0-1")
    small.change("journal", at(0, 2), command_id="command-0-1")


def one_call_two_commands(small: Small) -> None:
    small.drop("call", partition=0, offset=2)
    small.change("record", at(0, 2), trace="trace-0-1")


def a_second_transition(small: Small) -> None:
    small.change("journal", at(0, 2), outcome="applied", version=3)


def another_amount(small: Small) -> None:
    small.change("record", at(1, 0), content="BTC|4|client|connection|partner")


def a_ledger_row_more(small: Small) -> None:
    small.add("ledger", ACCOUNT | at(0, 2, debit="custody", credit="available", quantity="5"))


def moved_twice(small: Small) -> None:
    """Five were credited as ten; the ledger has five."""
    small.change("journal", at(1, 0), available="10")
    small.change("account", ACCOUNT, available="7")


def turned_down(small: Small, **found: Any) -> None:
    """D asks for 5 and is rejected, because of what it found on the account."""
    five = "BTC|5|client|connection|partner"
    small.change("record", at(1, 0), content=five)
    small.change("call", at(1, 0), content=five, word="rejected", rejection="insufficient_balance")
    small.change("journal", at(1, 0), status="rejected", reason="insufficient_balance", available="0", **found)
    small.change("event", {"id": D}, status="rejected")
    small.change("allocation", {"id": D}, status="rejected", content=five)
    small.change("account", ACCOUNT, available="5", held="0")
    small.drop("ledger", partition=1, offset=0)


def a_decision_too_late(small: Small) -> None:
    """The clear of A was answered before D was asked for, and takes a later place on the account."""
    turned_down(small, sequence=1)
    small.change("journal", at(0, 1), sequence=2)


def an_event_again(small: Small) -> None:
    small.add("event", event(2, (0, 1), A, 2, "cleared"))


def events_in_disorder(small: Small) -> None:
    small.change("event", {"id": A, "version": 1}, offset=5)


def an_unknown_event(small: Small) -> None:
    small.add("event", event(2, (0, 2), A, 3, "released"))


def a_token_twice(small: Small) -> None:
    small.change("call", at(0, 2), jti="token-0-1", shared=1)


def a_late_record(small: Small) -> None:
    """The repeat of the clear reached the log after its deadline, and was answered as if it had not."""
    small.change("record", at(0, 2), recorded_at=30 * SECOND)


@pytest.mark.parametrize(
    ("verdict", "broken"),
    [
        pytest.param(Verdict.LOST, drop("record", partition=0, offset=2), id="an answered command is not in the log"),
        pytest.param(Verdict.LOST, drop("journal", partition=0, offset=2), id="a record was skipped"),
        pytest.param(Verdict.LOST, row(A, status="reserved", version=1), id="a row was not changed"),
        pytest.param(Verdict.LOST, drop("allocation", id=T), id="a tombstone is missing"),
        pytest.param(Verdict.LOST, drop("ledger", partition=0, offset=1), id="a ledger row is missing"),
        pytest.param(Verdict.LOST, account(available="5", held="0"), id="the last movement is not in the balance"),
        pytest.param(Verdict.LOST, turned_down, id="a movement is not in what the next decision found"),
        pytest.param(Verdict.LOST, drop("account", sequence=2), id="an account is missing"),
        pytest.param(Verdict.TWICE, a_record_again, id="a record is twice in the log"),
        pytest.param(Verdict.TWICE, one_call_two_commands, id="one call made two commands"),
        pytest.param(Verdict.TWICE, a_second_transition, id="a repeat was applied"),
        pytest.param(Verdict.TWICE, a_ledger_row_more, id="a ledger row for no transition"),
        pytest.param(Verdict.TWICE, moved_twice, id="a movement was applied twice"),
        pytest.param(Verdict.TWICE, row(A, version=3), id="a row has one version more than the log makes"),
        pytest.param(Verdict.CONTRADICTION, answer(0, 2, word="released"), id="another status than the log's"),
        pytest.param(Verdict.CONTRADICTION, answer(0, 1, version=1), id="an older version than the log's"),
        pytest.param(Verdict.CONTRADICTION, answer(2, 1, status=200, word="reserved"), id="reserved after a tombstone"),
        pytest.param(Verdict.CONTRADICTION, answer(0, 2, answered_id=D), id="an answer about another allocation"),
        pytest.param(
            Verdict.CONTRADICTION, answer(0, 2, status=500, word="internal"), id="an answer that nothing makes"
        ),
        pytest.param(Verdict.CONTRADICTION, answer(0, 0, start=2.2, end=2.3), id="the log's order is not that of time"),
        pytest.param(
            Verdict.CONTRADICTION,
            answer(0, 2, status=503, word="unavailable", partition=None, command_id=None),
            id="published, and it was said that nothing was",
        ),
        pytest.param(Verdict.CONTRADICTION, journal(0, 2, outcome="refused"), id="the journal says otherwise"),
        pytest.param(Verdict.CONTRADICTION, journal(0, 2, command_id="another"), id="the journal has another command"),
        pytest.param(Verdict.CONTRADICTION, read(word="reserved", version=1), id="a stale read"),
        pytest.param(Verdict.CONTRADICTION, read(start=1.5, end=1.6), id="a read of what was not asked for yet"),
        pytest.param(Verdict.CONTRADICTION, read(status=404, word="not_found", version=None), id="a read that missed"),
        pytest.param(Verdict.CONTRADICTION, another_amount, id="another amount than was asked for"),
        pytest.param(Verdict.CONTRADICTION, a_late_record, id="applied after its deadline"),
        pytest.param(Verdict.CONTRADICTION, a_decision_too_late, id="the account's order is not that of time"),
        pytest.param(
            Verdict.CONTRADICTION, row(A, content="BTC|6|client|connection|partner"), id="a row of another amount"
        ),
        pytest.param(Verdict.GHOST, drop("allocation", id=A), id="an acknowledged id does not exist"),
        pytest.param(Verdict.GHOST, drop("call", partition=0, offset=2), id="a command that nobody gave"),
        pytest.param(Verdict.BALANCE, account(available="4"), id="a balance that is not the sum of its ledger"),
        pytest.param(Verdict.NEGATIVE, account(available="-1"), id="a balance below zero"),
        pytest.param(Verdict.CONTRADICTION, journal(1, 0, available="2"), id="approved beyond the balance"),
        pytest.param(Verdict.EVENT, drop("event", id=A, version=1), id="an event is missing"),
        pytest.param(Verdict.EVENT, an_event_again, id="an event came twice"),
        pytest.param(Verdict.EVENT, events_in_disorder, id="events in disorder"),
        pytest.param(Verdict.EVENT, an_unknown_event, id="an event of nothing"),
        pytest.param(
            Verdict.DEAD_LETTER,
            lambda small: small.add("dead_letter", {"partition": 0, "offset": 7, "reason": "not_a_command"}),
            id="a dead letter",
        ),
        pytest.param(Verdict.TOKEN, a_token_twice, id="a token counted twice"),
        pytest.param(
            Verdict.TOKEN,
            read(status=401, word="unauthorized", version=None),
            id="a fresh token was refused",
        ),
    ],
)
def test_what_is_broken_is_found(verdict: Verdict, broken: Break) -> None:
    small = Small()
    broken(small)
    findings = small.check()
    assert findings.count(verdict) > 0, findings.examples


@pytest.mark.parametrize("happened", ["it happened", "it did not"])
def test_a_call_without_an_answer_may_have_happened_or_not(happened: str) -> None:
    small = Small()
    small.change("call", at(0, 2), end=None, status=None, word=None, version=None, command_id=None, partition=None)
    if happened == "it did not":
        small.drop("record", partition=0, offset=2)
        small.drop("journal", partition=0, offset=2)
    assert small.check().is_clean


def test_a_pending_call_may_come_later_in_the_log_than_what_was_asked_after_it() -> None:
    small = Small()
    small.change("call", at(0, 2), start=0.5, end=0.6, status=503, word="outcome_pending", version=None, partition=None)
    assert small.check().is_clean


def test_of_a_token_that_was_sent_twice_one_is_let_in() -> None:
    small = Small()
    small.change("call", at(0, 1), shared=1)
    small.change("call", {"verb": "read"}, jti="token-0-1", shared=1, status=401, word="unauthorized", version=None)
    assert small.check().is_clean


def test_a_wrong_clock_excuses_a_refused_token() -> None:
    small = Small()
    small.change("call", {"verb": "read"}, status=401, word="unauthorized", version=None)
    assert small.check(wrong_clocks=[(2, 3)]).is_clean
    assert not small.check(wrong_clocks=[(3, 4)]).is_clean


def test_a_later_read_is_not_older_than_an_earlier_one() -> None:
    """While the clear is on its way, a read may see it or not; after one that did, none may not."""
    small = Small()
    small.change("call", at(0, 1), end=9.0)
    first = {
        "verb": "read",
        "id": A,
        "kind": "allocation",
        "status": 200,
        "shared": 0,
        "word": "reserved",
        "version": 1,
    }
    small.add("call", first | {"trace": "before", "start": 2.1, "end": 2.2, "jti": "token-before"})
    assert small.check().is_clean
    small.change("call", {"trace": "before"}, start=2.7, end=2.8)
    small.drop("call", partition=0, offset=2)
    small.drop("record", partition=0, offset=2)
    small.drop("journal", partition=0, offset=2)
    assert small.check().count(Verdict.CONTRADICTION) == 1


def test_the_shortest_history_is_shown() -> None:
    small = Small()
    small.change("call", at(0, 2), word="released")
    small.change("call", at(1, 0), word="cleared")
    store = small.store()
    findings = Findings()
    check(store, findings)
    text = "\n".join(show.lines(findings, store))
    assert f"The shortest history of an allocation concerned, {D}" in text
    assert "1/0  reserve  deallocation" in text
    assert "0/1  clear" not in text


def test_what_a_limit_turns_down_is_expected_to_be_rejected() -> None:
    small = Small()
    assert small.check(limits={"BTC": 4}).count(Verdict.CONTRADICTION) == 1


def test_the_model_reissues_deallocations_only() -> None:
    """A released deallocation is reserved again; its order that was received before the re-issue is refused."""
    small = Small()
    more = [
        asked((1, 1), D, "release", "", 7, word="released", version=2),
        asked((1, 2), D, "reserve", "BTC|3|client|connection|partner", 8, word="reserved", version=3),
        asked((1, 3), D, "clear", "", 9, word="already_released", status=409),
    ]
    more[2][1]["received_at"] = 7 * SECOND
    small.add("call", *(call for call, _ in more))
    small.add("record", *(record for _, record in more))
    small.add(
        "journal",
        journaled((1, 1), "applied", status="released", version=2, sequence=3, available="2", held="3"),
        journaled((1, 2), "applied", status="reserved", version=3, sequence=4, available="5", held="0"),
        journaled((1, 3), "refused", reason="already_released", status="reserved", version=3),
    )
    small.add("event", event(1, (1, 1), D, 2, "released"), event(2, (1, 2), D, 3, "reserved"))
    small.add(
        "ledger",
        ACCOUNT | at(1, 1, debit="held", credit="available", quantity="3"),
        ACCOUNT | at(1, 2, debit="available", credit="held", quantity="3"),
    )
    small.change("allocation", {"id": D}, version=3)
    small.change("account", ACCOUNT, sequence=4)
    assert [] == small.check().examples
