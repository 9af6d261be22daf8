"""The rows that this processor's last batches wrote, so that most batches need not load any (decision 2).

A cached row may be stale. Every row that a decision used is guarded by the commit, and a failed guard clears the cache.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Final, TypeVar

from processor.domain.account import Account, AccountKey
from processor.domain.adjustment import Adjustment
from processor.domain.batch import Batch, Read
from processor.domain.connection import Connection
from processor.domain.machine import Allocation, State
from processor.domain.rows import LoadedRows, Wanted, Watermark
from processor.domain.usage import Usage, UsageKey

STATES_MAX: Final = 4096
ACCOUNTS_MAX: Final = 4096
CONNECTIONS_MAX: Final = 4096
USAGES_MAX: Final = 4096
CONTENDED_BATCHES: Final = 256
"""The accounts and sums of a batch whose guard failed are not cached for this many batches."""

K = TypeVar("K")
V = TypeVar("V")


class RowCache:
    """A state is valid as long as its partition's watermark is, because every change moves both; an account or a day's
    sum is valid as long as its sequence is, and a connection as long as its version is. Of a connection, its absence is
    cached too.
    """

    def __init__(self) -> None:
        self._watermarks: dict[int, Watermark] = {}
        self._states: OrderedDict[str, State] = OrderedDict()
        self._accounts: OrderedDict[AccountKey, Account] = OrderedDict()
        self._adjustments: OrderedDict[str, Adjustment] = OrderedDict()
        self._connections: OrderedDict[str, Connection | None] = OrderedDict()
        self._usages: OrderedDict[UsageKey, Usage] = OrderedDict()
        self._contended: dict[AccountKey | UsageKey, int] = {}
        self._batches = 0

    def missed(self, batch: Batch) -> None:
        """A guard failed: another worker probably writes the same accounts or sums, so caching them would not pay."""
        self.clear()
        if len(self._contended) > ACCOUNTS_MAX:
            self._contended.clear()
        self._contended |= dict.fromkeys([*batch.accounts, *batch.usages], self._batches + CONTENDED_BATCHES)

    def clear(self) -> None:
        self._watermarks.clear()
        self._states.clear()
        self._accounts.clear()
        self._adjustments.clear()
        self._connections.clear()
        self._usages.clear()

    def check(self, loaded: Mapping[int, Watermark]) -> None:
        """Clear if another worker has moved a partition: old states must not meet its newer watermark."""
        if any(self._watermarks.get(partition, mark) != mark for partition, mark in loaded.items()):
            self.clear()

    def keep(self, batch: Batch) -> None:
        """Cache what a batch writes; called before its commit is known to have succeeded. The next batch may be decided
        on it: if this commit fails, the next one fails its guards.
        """
        self._batches += 1
        self._watermarks.update(batch.watermarks)
        _renew(self._states, batch.states, STATES_MAX)
        _renew(self._adjustments, batch.adjustments, STATES_MAX)
        _renew(self._connections, batch.connections, CONNECTIONS_MAX)
        _renew(
            self._accounts,
            {key: account for key, account in batch.accounts.items() if self._may_keep(key)},
            ACCOUNTS_MAX,
        )
        _renew(self._usages, {key: usage for key, usage in batch.usages.items() if self._may_keep(key)}, USAGES_MAX)

    def keep_absent(self, connection_ids: AbstractSet[str]) -> None:
        """Cache that there are no such connections."""
        _renew(self._connections, dict.fromkeys(connection_ids), CONNECTIONS_MAX)

    def _may_keep(self, key: AccountKey | UsageKey) -> bool:
        if self._contended.get(key, 0) > self._batches:
            return False
        self._contended.pop(key, None)
        return True

    def rows(self, reads: Iterable[Read], wanted: Wanted) -> LoadedRows | None:
        """The rows that the records need, or None if any of them is not cached.

        An id that starts with a reserve may be missing: it is taken for a new one, which the commit guards; so may an
        adjustment. Changes of connections are rare, and rest on more than is cached.
        """
        if wanted.changed_connections or wanted.connection_ids - self._connections.keys():
            return None
        states = {each: self._states[each] for each in wanted.allocation_ids if each in self._states}
        keys = wanted.accounts | _accounts_of(states[each] for each in wanted.moved_ids if each in states)
        accounts = {key: self._accounts[key] for key in keys if key in self._accounts}
        usages = {key: self._usages[key] for key in wanted.usages if key in self._usages}
        if len(usages) < len(wanted.usages):
            return None
        unknown = wanted.allocation_ids - states.keys() - wanted.opened_ids
        if unknown or len(accounts) < len(keys) or not self._follow_on(reads):
            return None
        connections = {each: known for each in wanted.connection_ids if (known := self._connections[each])}
        adjustments = {each: self._adjustments[each] for each in wanted.adjustment_ids if each in self._adjustments}
        marks = {each: self._watermarks[each] for each in wanted.partitions}
        return LoadedRows(marks, states, accounts, adjustments, connections, usages=usages)

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
    """Add entries, evicting the least recently used."""
    for key, value in news.items():
        known[key] = value
        known.move_to_end(key)
    while len(known) > limit:
        known.popitem(last=False)
