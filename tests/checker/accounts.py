"""Whether every account is the sum of what was decided on it, in one order, which real time allows.

`note` collects from each allocation what its transitions do to accounts; `accounts` then goes through each account in
the order in which the journal numbers its decisions.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby
from math import inf
from typing import Final, NamedTuple

from tests.checker.cluster import Cluster
from tests.checker.findings import Findings, Verdict
from tests.checker.model import BOOKS, movement
from tests.checker.store import Row, Store
from tests.checker.walk import Said

DECISIONS: Final = """
    SELECT e.connection_id, e.currency, e.id, e.kind, e.status, e.quantity, e.sequence, e.available, e.held, e.start,
        e."end", a.sequence, a.available, a.held
    FROM effect e LEFT JOIN account a USING (connection_id, currency) ORDER BY connection_id, currency, e.sequence
"""
UNTOUCHED: Final = """
    SELECT connection_id, currency, available, held FROM account a WHERE NOT EXISTS (
        SELECT 1 FROM effect e WHERE e.connection_id = a.connection_id AND e.currency = a.currency
    )
"""
BOOKED: Final = """
    SELECT e.id, e.kind, e.status, e.quantity, e.connection_id, e.currency,
        l.debit, l.credit, l.quantity, l.connection_id, l.currency
    FROM effect e LEFT JOIN ledger l USING (partition, "offset")
"""
UNEXPLAINED: Final = """
    SELECT l.connection_id, l.currency, l.quantity, partition, "offset"
    FROM ledger l LEFT JOIN effect e USING (partition, "offset") WHERE e.id IS NULL
"""
SUMS: Final = """
    SELECT connection_id, currency, a.available, a.held, l.debit, l.credit, l.quantity
    FROM account a LEFT JOIN ledger l USING (connection_id, currency) ORDER BY connection_id, currency
"""
Balance = tuple[int, int]
"""Available and held."""


class Decision(NamedTuple):
    """A decision that read or moved an account; the last three are the account as the tables have it in the end."""

    connection_id: str
    currency: str
    id: str
    kind: str
    status: str
    quantity: str
    sequence: int
    available: str
    held: str
    start: float
    end: float
    final_sequence: int | None
    final_available: str | None
    final_held: str | None


def note(cluster: Cluster) -> Iterator[Row]:
    """Rows of the table `effect`."""
    asked = cluster.by_trace()
    for record, made in zip(cluster.records, cluster.steps, strict=False):
        state = made.after
        if made.outcome != "applied" or state is None:
            continue
        currency, quantity, _, connection, _ = state.content
        if movement(state.kind, state.status, int(quantity)) is None:
            continue
        call = asked.get(record.trace)
        start, end = (call.start, call.applied_by) if call else (-inf, inf)
        found = (record.sequence, record.available, record.held)
        subject = (cluster.id, connection, currency, state.kind, state.status, quantity)
        yield (*record.position, *subject, *found, start, end)


def accounts(store: Store, findings: Findings) -> None:
    by_account = groupby(map(Decision._make, store.rows(DECISIONS)), lambda each: (each.connection_id, each.currency))
    for (connection, currency), decisions in by_account:
        for verdict, words in _account_faults(decisions):
            findings.add(verdict, f"account {connection} {currency}", words)
    for connection, currency, *balance in store.rows(UNTOUCHED):
        findings.add(Verdict.BALANCE, f"account {connection} {currency}", f"{balance}, and no decision touched it")
    for verdict, subject, words in (*_ledger_faults(store), *_sum_faults(store)):
        findings.add(verdict, subject, words)


def _account_faults(decisions: Iterable[Decision]) -> Iterator[Said]:
    """Stops at the first decision that does not follow from the one before it."""
    balance, moved, number, latest = (0, 0), (0, 0), 0, -inf
    for each in decisions:
        name = f"decision {each.sequence} ({each.id})"
        if each.sequence != number + 1:
            yield Verdict.TWICE if each.sequence == number else Verdict.LOST, f"{name} follows decision {number}"
            return
        if (found := (int(each.available), int(each.held))) != balance:
            yield _misfit(balance, found, moved), f"{name} found {found}, not {balance}"
            return
        if each.end < latest:
            yield Verdict.CONTRADICTION, f"{name} was answered before one began that precedes it"
        moved = movement(each.kind, each.status, int(each.quantity)) or (0, 0)
        balance = balance[0] + moved[0], balance[1] + moved[1]
        number, latest, last = each.sequence, max(latest, each.start), each
    if last.final_available is None or last.final_held is None:
        yield Verdict.LOST, f"the account is not in the tables, after {number} decisions"
        return
    final = int(last.final_available), int(last.final_held)
    if min(final) < 0:
        yield Verdict.NEGATIVE, f"the tables have {final}"
    if (final, last.final_sequence) != (balance, number):
        words = f"the tables have {final} after {last.final_sequence} decisions, and {number} make {balance}"
        yield _misfit(balance, final, moved), words


def _misfit(expected: Balance, found: Balance, moved: Balance) -> Verdict:
    """A balance that is off by exactly what the last decision moved was moved twice, or not at all."""
    off = found[0] - expected[0], found[1] - expected[1]
    if any(moved) and off == moved:
        return Verdict.TWICE
    return Verdict.LOST if any(moved) and off == (-moved[0], -moved[1]) else Verdict.BALANCE


def _ledger_faults(store: Store) -> Iterator[tuple[Verdict, str, str]]:
    for identifier, kind, status, quantity, connection, currency, *found in store.rows(BOOKED):
        books = BOOKS.get((kind, status))
        expected = [*books, quantity, connection, currency] if books else [None] * 5
        if found != expected:
            verdict = Verdict.LOST if found[0] is None else Verdict.BALANCE
            yield verdict, identifier, f"{status}: the ledger has {found}, and should have {expected}"
    for connection, currency, quantity, *place in store.rows(UNEXPLAINED):
        yield Verdict.TWICE, f"account {connection} {currency}", f"the ledger moves {quantity} at {place} for no reason"


def _sum_faults(store: Store) -> Iterator[tuple[Verdict, str, str]]:
    for (connection, currency, *balance), moves in groupby(store.rows(SUMS), lambda row: row[:4]):
        sums = {"available": 0, "held": 0, "custody": 0}
        for *_, debit, credit, quantity in moves:
            if debit is not None:
                sums[debit] -= int(quantity)
                sums[credit] += int(quantity)
        if [int(each) for each in balance] != [sums["available"], sums["held"]]:
            words = f"the balance is {balance}, its ledger makes {sums['available']} and {sums['held']}"
            yield Verdict.BALANCE, f"account {connection} {currency}", words
