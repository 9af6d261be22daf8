"""Checks accounts: every decision in sequence order, on the balance that the one before left (decisions 5 and 6)."""

import heapq
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Final

from processor.domain.account import Account, AccountKey, apply_decision
from processor.postgres.rows import account_row
from proof.log.snapshot import Snapshot
from proof.verify.differences import Difference, Report, columns_differ
from proof.verify.fold import AccountDecision, Fold
from proof.verify.merge_join import aligned

_COLUMNS: Final = ("connection_id", "currency", "sequence", "available", "held")


async def check_accounts(fold: Fold, snapshot: Snapshot, firsts: Mapping[int, int], report: Report) -> int:
    """Facts, account rows, and the sums of ledger and adjustments from `firsts` on; returns the number of accounts."""
    count = 0
    async for key, expected, row in aligned(folded(fold, report), snapshot.accounts()):
        count += 1
        if expected is None:
            report(_difference(key, "no such account follows from the log"))
        elif row is None:
            report(_difference(key, "the row is missing"))
        elif differs := columns_differ(dict(zip(_COLUMNS, row, strict=True)), account_row(expected)):
            report(_difference(key, differs))
    before = ((account.key, account) for account in fold.accounts())
    async for key, account, row in aligned(before, snapshot.balances(firsts)):
        if row is not None and (words := _unbalanced(account, *map(int, row))):
            report(_difference(key, words))
    async for connection_id, currency, moved, asked in snapshot.untraded(firsts):
        words = f"{moved} came from trading by the ledger, and {asked} by the adjustments"
        report(_difference((connection_id, currency), words))
    return count


def _unbalanced(before: Account | None, available: int, held: int, available_sum: int, held_sum: int) -> str:
    """How balances differ from what the ledger's rows make of those before them; empty when they do not."""
    first = (before.available, before.held) if before else (0, 0)
    if (available, held) == (first[0] + available_sum, first[1] + held_sum) and min(available, held) >= 0:
        return ""
    since = f" since the checkpoint, which has {first[0]} and {first[1]}" if before else ""
    return f"available is {available} and held {held}, and the ledger's rows are {available_sum} and {held_sum}{since}"


def folded(fold: Fold, report: Report) -> Iterator[tuple[AccountKey, Account]]:
    """Each account after its last decision."""
    both: Iterator[Account | AccountDecision] = heapq.merge(
        fold.accounts(), fold.decisions(), key=lambda each: each.key
    )
    for key, own in groupby(both, lambda each: each.key):
        account = Account(*key)
        for each in own:
            account = each if isinstance(each, Account) else _after(account, each, report)
        yield key, account


def _after(account: Account, decision: AccountDecision, report: Report) -> Account:
    """The account after a decision, on what the decision says that it found."""
    found = Account(*decision.key, decision.sequence - 1, decision.available_before, decision.held_before)
    if found != account:
        words = f"as {decision.position} found it: {columns_differ(account_row(found), account_row(account))}"
        report(_difference(decision.key, words, decision.of))
    return apply_decision(found, decision.movement)


def _difference(key: AccountKey, words: str, of: str | None = None) -> Difference:
    return Difference("account", "/".join(key), words, of)
