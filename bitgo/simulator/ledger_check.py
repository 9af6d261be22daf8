"""Does the ledger agree with itself? Everything that can be derived is derived again and compared."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from bitgo.simulator.entries import Allocation, effect
from bitgo.simulator.ledger import Ledger

FITTING: Final = {
    "reserve": {"pending", "reserved"},
    "clear": {"cleared"},
    "release": {"released", "rejected"},
    "done": {"rejected", "cleared", "released", "reserved"},
}
"""Which statuses an order at a step can have; reserved for good: a scenario may leave reservations open."""


def check(ledger: Ledger) -> list[str]:
    """Every contradiction as a sentence; none when the ledger agrees with itself."""
    with ledger.transaction():
        found = [str(row[0]) for row in ledger.database.execute("PRAGMA integrity_check") if row[0] != "ok"]
        found += [f"foreign key broken in {row[0]}" for row in ledger.database.execute("PRAGMA foreign_key_check")]
        allocations = list(ledger.allocations())
        found += _movements(ledger, allocations)
        found += _balances(ledger)
        found += _orders(ledger, {each.allocation_id: each for each in allocations})
    return found


def _movements(ledger: Ledger, allocations: list[Allocation]) -> Iterator[str]:
    """What moved because of an allocation is what its status stands for."""
    moved: Counter[tuple[str, str]] = Counter()
    places: dict[str, set[tuple[str, str]]] = {}
    for row in ledger.database.execute("SELECT * FROM movements WHERE cause <> 'settlement'"):
        moved[row["cause_id"], "available"] += int(row["available"])
        moved[row["cause_id"], "held"] += int(row["held"])
        places.setdefault(row["cause_id"], set()).add((row["connection_id"], row["currency"]))
    for each in allocations:
        due = effect(each.kind, each.status, each.quantity)
        came = moved[each.allocation_id, "available"], moved[each.allocation_id, "held"]
        if came != due:
            yield f"{each.kind} {each.allocation_id} is {each.status}: (available, held) {due} due, {came} moved"
        if places.pop(each.allocation_id, set()) - {(each.connection_id, each.currency)}:
            yield f"{each.kind} {each.allocation_id} moved a balance that is not its own"
    yield from (f"movement of {unknown}, which is no allocation" for unknown in places)


def _balances(ledger: Ledger) -> Iterator[str]:
    """Balances are the sums of movements. An `available` may be below 0 for a while only because of settlements."""
    sums: Counter[tuple[str, str, str]] = Counter()
    settled = set()
    for row in ledger.database.execute("SELECT * FROM movements"):
        sums[row["connection_id"], row["currency"], "available"] += int(row["available"])
        sums[row["connection_id"], row["currency"], "held"] += int(row["held"])
        if row["cause"] == "settlement":
            settled.add((row["connection_id"], row["currency"]))
    balances = ledger.balances()
    for account in sorted({(connection, currency) for connection, currency, _ in sums} | set(balances)):
        due = sums[*account, "available"], sums[*account, "held"]
        balance = balances.get(account)
        came = (balance.available, balance.held) if balance else (0, 0)
        if came != due:
            yield f"balance of {' '.join(account)}: (available, held) {due} due, {came} there"
        if came[1] < 0 or (came[0] < 0 and account not in settled):
            yield f"balance of {' '.join(account)} is negative: {came}"


def _orders(ledger: Ledger, allocations: dict[str, Allocation]) -> Iterator[str]:
    for row in ledger.database.execute("SELECT * FROM orders"):
        allocation = allocations[row["allocation_id"]]
        if allocation.status not in FITTING[row["step"]]:
            what = f"order {row['number']} of {row['run']} is at {row['step']}"
            yield f"{what}, its {allocation.kind} is {allocation.status}"
