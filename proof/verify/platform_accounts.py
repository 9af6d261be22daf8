"""Checks the platform's accounts: every decision in sequence order, on what the one before left (decision 5)."""

import heapq
from collections.abc import Iterator
from itertools import groupby
from typing import Final

from processor.domain.connection import PlatformAccount
from proof.log.snapshot import Snapshot
from proof.verify.differences import Difference, Report, columns_differ
from proof.verify.fold import Fold, PlatformDecision
from proof.verify.merge_join import aligned

_COLUMNS: Final = PlatformAccount._fields


async def check_platform_accounts(fold: Fold, snapshot: Snapshot, report: Report) -> None:
    """Facts and rows."""
    async for key, expected, row in aligned(folded(fold, report), snapshot.platform_accounts()):
        if expected is None:
            report(_difference(key, "no such account follows from the log"))
        elif row is None:
            report(_difference(key, "the row is missing"))
        elif differs := columns_differ(dict(zip(_COLUMNS, row, strict=True)), expected._asdict()):
            report(_difference(key, differs))


def folded(fold: Fold, report: Report) -> Iterator[tuple[str, PlatformAccount]]:
    """Each account after its last decision."""
    begun = ((each.partners_connection_id, each) for each in fold.platform_accounts())
    decided = ((each[0].account, each) for each in fold.platform_decisions())
    both: Iterator[tuple[str, PlatformAccount | tuple[PlatformDecision, bool]]] = heapq.merge(
        begun, decided, key=lambda each: each[0]
    )
    for key, own in groupby(both, lambda each: each[0]):
        account = PlatformAccount(key)
        for _, each in own:
            account = each if isinstance(each, PlatformAccount) else _after(account, each, report)
        yield key, account


def _after(account: PlatformAccount, each: tuple[PlatformDecision, bool], report: Report) -> PlatformAccount:
    """The account after a decision, on what the decision says that it found."""
    decision, is_spent = each
    found = PlatformAccount(decision.account, decision.sequence - 1, decision.connected_before)
    words = columns_differ(found._asdict(), account._asdict())
    if decision.token_used_before != is_spent:
        words = f"{words}; " if words else ""
        words += "the token was used before" if is_spent else "no earlier command used the token"
    if words:
        report(_difference(decision.account, f"as {decision.position} found it: {words}", decision.of))
    return PlatformAccount(decision.account, decision.sequence, decision.connected_after)


def _difference(key: str, words: str, of: str | None = None) -> Difference:
    return Difference("platform_account", key, words, of)
