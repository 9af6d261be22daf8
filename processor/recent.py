"""The rows that the last batches left: what the next one starts from when it needs no others (record 0013).

Nothing here is locked and nothing is trusted: every row that a decision used is guarded by the write that follows it,
and a guard that misses throws all of this away.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

from processor.account import Account, AccountKey
from processor.batch import Batch, Read, Tables, Wanted, Watermark
from processor.machine import Allocation, State

STATES_MAX: Final = 4096
ACCOUNTS_MAX: Final = 4096
FIRST_REST: Final = 16
"""After a miss so many batches load. A miss that comes sooner after the rest than the rest was long doubles it."""
LONGEST_REST: Final = 1024

K = TypeVar("K")
V = TypeVar("V")


class Recent:
    """States are true for as long as their partition's watermark is the one remembered, because nobody changes one
    without moving the other; an account is true for as long as its sequence is.
    """

    def __init__(self) -> None:
        self._watermarks: dict[int, Watermark] = {}
        self._states: OrderedDict[str, State] = OrderedDict()
        self._accounts: OrderedDict[AccountKey, Account] = OrderedDict()
        self._hits = 0
        self._last_rest = 0
        self._rest = 0

    def forget(self) -> None:
        """Everything: the next batch loads."""
        self._watermarks.clear()
        self._states.clear()
        self._accounts.clear()

    def missed(self) -> None:
        """Something was not as remembered: others work on the same accounts, or ids come back from long ago."""
        self.forget()
        longer = 0 if self._hits > self._last_rest else min(self._last_rest * 2, LONGEST_REST)
        self._rest = self._last_rest = max(longer, FIRST_REST)
        self._hits = 0

    def keep(self, batch: Batch) -> None:
        """Remember what a batch left. To be called after it was committed."""
        if not batch.loaded.locked:
            self._hits += 1
        elif any(self._watermarks.get(key, mark) != mark for key, mark in batch.loaded.watermarks.items()):
            self.forget()
        self._watermarks.update(batch.watermarks)
        _renew(self._states, batch.states, STATES_MAX)
        _renew(self._accounts, batch.accounts, ACCOUNTS_MAX)

    def tables(self, reads: Iterable[Read], wanted: Wanted) -> Tables | None:
        """What the records need, or None when some of it is not here.

        An id that a reserve opens may be missing: it is then taken for a new one, and must be inserted.
        """
        if self._rest:
            self._rest -= 1
            return None
        states = {each: self._states[each] for each in wanted.allocation_ids if each in self._states}
        keys = wanted.accounts | _accounts_of(states[each] for each in wanted.moved_ids if each in states)
        accounts = {key: self._accounts[key] for key in keys if key in self._accounts}
        unknown = wanted.allocation_ids - states.keys() - wanted.opened_ids
        if unknown or len(accounts) < len(keys) or not self._follow_on(reads):
            return None
        return Tables({each: self._watermarks[each] for each in wanted.partitions}, states, accounts, locked=False)

    def _follow_on(self, reads: Iterable[Read]) -> bool:
        """Whether each record is the next one of its partition."""
        expected: dict[int, int] = {}
        for each in reads:
            partition, offset = each.record.partition, each.record.offset
            mark = self._watermarks.get(partition)
            if mark is None or expected.get(partition, mark.next_offset) != offset:
                return False
            expected[partition] = offset + 1
        return True


def _accounts_of(states: Iterable[State]) -> set[AccountKey]:
    return {(each.connection_id, each.amount.currency) for each in states if isinstance(each, Allocation)}


def _renew(known: OrderedDict[K, V], news: Mapping[K, V], limit: int) -> None:
    """Add, and drop what was not touched for longest."""
    for key, value in news.items():
        known[key] = value
        known.move_to_end(key)
    while len(known) > limit:
        known.popitem(last=False)
