"""Accounts: every decision in the order of its sequence, on what the one before it left (decisions 5 and 6)."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final

from processor.account import Account, AccountKey, apply_decision
from processor.store import account_row
from proof.aligned import aligned
from proof.differences import Difference, Report, columns_differ
from proof.fold import AccountDecision, Fold
from proof.snapshot import Snapshot

_COLUMNS: Final = ("connection_id", "currency", "sequence", "available", "held")


async def check_accounts(fold: Fold, snapshot: Snapshot, report: Report) -> int:
    """Facts, account rows, and the sums of the ledger; gives the number of accounts."""
    count = 0
    async for key, expected, row in aligned(folded(fold.decisions(), report), snapshot.accounts()):
        count += 1
        if expected is None:
            report(_difference(key, "no such account follows from the log"))
        elif row is None:
            report(_difference(key, "the row is missing"))
        elif differs := columns_differ(dict(zip(_COLUMNS, row, strict=True)), account_row(expected)):
            report(_difference(key, differs))
    async for connection_id, currency, available, held, available_sum, held_sum in snapshot.unbalanced():
        report(
            _difference(
                (connection_id, currency),
                f"available is {available} and held {held}, and the ledger's rows are {available_sum} and {held_sum}",
            )
        )
    return count


def folded(decisions: Iterable[AccountDecision], report: Report) -> Iterator[tuple[AccountKey, Account]]:
    """Each account after its last decision."""
    for key, own in groupby(decisions, lambda decision: decision.key):
        account = Account(*key)
        for decision in own:
            account = _after(account, decision, report)
        yield key, account


def _after(account: Account, decision: AccountDecision, report: Report) -> Account:
    """The account after a decision, on what the decision says that it found."""
    found = Account(*decision.key, decision.sequence - 1, decision.available_before, decision.held_before)
    if found != account:
        words = f"as {decision.position} found it: {columns_differ(account_row(found), account_row(account))}"
        report(_difference(decision.key, words, decision.allocation_id))
    return apply_decision(found, decision.movement)


def _difference(key: AccountKey, words: str, allocation_id: str | None = None) -> Difference:
    return Difference("account", "/".join(key), words, allocation_id)
