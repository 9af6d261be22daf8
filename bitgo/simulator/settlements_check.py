"""Do the settlements agree with themselves and with the ledger's movements?"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from bitgo.simulator.ledger import Ledger
from bitgo.simulator.settlements import Transfer, net

_FITTING: Final = {
    "pending": {"pending"},
    "failed": {"failed"},
    "completed": {"completed", "disputed"},
    "rejected": {"rejected"},
}
"""Which statuses a settlement's transfers can have."""


def check_settlements(ledger: Ledger) -> list[str]:
    """Every contradiction as a sentence; none when all agrees. The ledger's `check` adds up movements."""
    with ledger.transaction():
        return [*_transfers(ledger), *_movements(ledger), *_disputes(ledger)]


def _transfers(ledger: Ledger) -> Iterator[str]:
    rows = ledger.database.execute(
        "SELECT settlement_id, settlements.status AS due, settlement_transfers.status AS came, count(*) AS count"
        " FROM settlements LEFT JOIN settlement_transfers USING (settlement_id) GROUP BY 1, 2, 3"
    )
    for row in rows:
        if row["came"] is None:
            yield f"settlement {row['settlement_id']} has no transfers"
        elif row["came"] not in _FITTING[row["due"]]:
            yield f"settlement {row['settlement_id']} is {row['due']}, {row['count']} of its transfers {row['came']}"


def _movements(ledger: Ledger) -> Iterator[str]:
    """A completed settlement moved what its transfers come to, and no other moved anything."""
    due: Counter[tuple[str, str, str]] = Counter()
    rows = ledger.database.execute("SELECT * FROM settlement_transfers WHERE status = 'completed'")
    for row in rows:
        transfer = Transfer(row["connection_id"], row["counterparty_id"], row["currency"], int(row["quantity"]))
        for account, quantity in net([transfer]).items():
            due[row["settlement_id"], *account] += quantity
    came: Counter[tuple[str, str, str]] = Counter()
    for row in ledger.database.execute("SELECT * FROM movements WHERE cause = 'settlement'"):
        came[row["cause_id"], row["connection_id"], row["currency"]] += int(row["available"])
        if int(row["held"]):
            yield f"settlement {row['cause_id']} moved what is held"
    for settlement_id, connection_id, currency in sorted(due.keys() | came.keys()):
        key = settlement_id, connection_id, currency
        if due[key] != came[key]:
            yield f"settlement {settlement_id}: {due[key]} {currency} due to {connection_id}, {came[key]} moved"


def _disputes(ledger: Ledger) -> Iterator[str]:
    """What a closed dispute left over is in the settlement that settles it, or waits for one."""
    rows = ledger.database.execute(
        "SELECT dispute_id, settled_in, transfers.settlement_id FROM disputes"
        " JOIN settlement_transfers AS transfers USING (closure_id)"
        " WHERE settled_in IS NOT transfers.settlement_id"
    )
    for row in rows:
        yield f"dispute {row['dispute_id']} is settled in {row['settled_in']}, its rest in {row['settlement_id']}"
