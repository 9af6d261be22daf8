"""BitGo's ledger: balances follow from statuses, whatever happens, and a contradiction is found."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitgo.simulator.entries import NEXT, Balance, Connection, LedgerStatus, effect
from bitgo.simulator.ledger import Ledger, LedgerError
from bitgo.simulator.ledger_check import check
from schemas.words import Kind

STATUSES: list[LedgerStatus] = ["pending", "reserved", "rejected", "cleared", "released"]
CONNECTION = Connection("connection-1", "client-1", "partner", "account-1", "client-1", "active")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        opened.add_connection(CONNECTION)
        yield opened


def cleared(ledger: Ledger, allocation_id: str, quantity: int, kind: Kind = Kind.ALLOCATION) -> None:
    ledger.add_allocation(kind, allocation_id, "connection-1", "BTC", quantity)
    ledger.set_status(allocation_id, "reserved")
    ledger.set_status(allocation_id, "cleared")


def test_an_allocation_is_credited_when_it_is_cleared_and_a_deallocation_is_held_and_debited(ledger: Ledger) -> None:
    cleared(ledger, "in", 10**77)
    ledger.add_allocation(Kind.DEALLOCATION, "out", "connection-1", "BTC", 4)
    assert Balance(10**77, 0) == ledger.balance("connection-1", "BTC")
    ledger.set_status("out", "reserved")
    assert Balance(10**77 - 4, 4) == ledger.balance("connection-1", "BTC")
    ledger.set_status("out", "cleared")
    assert Balance(10**77 - 4, 0) == ledger.balance("connection-1", "BTC")
    assert [] == check(ledger)


@pytest.mark.parametrize("before", STATUSES)
@pytest.mark.parametrize("after", STATUSES)
def test_a_transition_that_is_not_in_the_table_is_refused_and_changes_nothing(
    ledger: Ledger, before: LedgerStatus, after: LedgerStatus
) -> None:
    cleared(ledger, "funds", 100)
    ledger.add_allocation(Kind.DEALLOCATION, "it", "connection-1", "BTC", 5)
    ledger.set_status("it", before)
    was = ledger.allocation("it"), ledger.balances()
    if after in NEXT[before]:
        assert after == ledger.set_status("it", after).status
    elif after == before:
        assert was[0] == ledger.set_status("it", after)
    else:
        with pytest.raises(LedgerError, match=f"is {before}, so it cannot become {after}"):
            ledger.set_status("it", after)
        assert was == (ledger.allocation("it"), ledger.balances())
    assert [] == check(ledger)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from(Kind), st.integers(1, 10**77), st.lists(st.sampled_from(STATUSES), max_size=5)),
        max_size=8,
    )
)
def test_given_any_history_then_balances_are_the_sum_of_what_statuses_stand_for(
    histories: list[tuple[Kind, int, list[LedgerStatus]]],
) -> None:
    with Ledger(":memory:") as ledger:
        ledger.add_connection(CONNECTION)
        cleared(ledger, "funds", 10**78)
        for number, (kind, quantity, statuses) in enumerate(histories):
            ledger.add_allocation(kind, str(number), "connection-1", "BTC", quantity)
            for status in statuses:
                now = ledger.allocation(str(number))
                assert now is not None
                if status in NEXT[now.status]:
                    ledger.set_status(str(number), status)
        due = [effect(each.kind, each.status, each.quantity) for each in ledger.allocations()]
        balance = ledger.balance("connection-1", "BTC")
        assert (sum(each[0] for each in due), sum(each[1] for each in due)) == (balance.available, balance.held)
        assert [] == check(ledger)


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("UPDATE balances SET available = '11'", "balance of connection-1 BTC: (available, held) (10, 0) due, (11, 0)"),
        ("UPDATE allocations SET status = 'released'", "allocation in is released: (available, held) (0, 0) due"),
        ("UPDATE movements SET held = '1'", "allocation in is cleared: (available, held) (10, 0) due, (10, 1) moved"),
        ("DELETE FROM movements", "allocation in is cleared: (available, held) (10, 0) due, (0, 0) moved"),
        ("INSERT INTO orders (allocation_id, run, number, plan, step) VALUES ('in', 'r', 0, '{}', 'reserve')",
         "order 0 of r is at reserve, its allocation is cleared"),
    ],
)  # fmt: skip
def test_a_contradiction_is_found(ledger: Ledger, damage: str, found: str) -> None:
    cleared(ledger, "in", 10)
    assert [] == check(ledger)
    ledger.database.execute(damage)
    assert any(each.startswith(found) for each in check(ledger)), check(ledger)


def test_what_fails_in_the_middle_of_a_transaction_leaves_nothing(ledger: Ledger) -> None:
    def fail() -> None:
        with ledger.transaction():
            cleared(ledger, "in", 10)
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert (None, {}) == (ledger.allocation("in"), ledger.balances())


def test_an_id_counts_once_and_a_connection_has_one_client(ledger: Ledger) -> None:
    ledger.add_allocation(Kind.ALLOCATION, "it", "connection-1", "BTC", 5)
    with pytest.raises(LedgerError):
        ledger.add_allocation(Kind.DEALLOCATION, "it", "connection-1", "BTC", 5)
    with pytest.raises(LedgerError):
        ledger.add_allocation(Kind.ALLOCATION, "other", "nowhere", "BTC", 5)
    with pytest.raises(LedgerError, match="belongs to another client"):
        ledger.add_connection(Connection("connection-1", "client-2", "partner", "a", "c", "active"))
