"""Daily limits: what was reserved on a day (UTC), by client and by connection (contract, section 3). Pure.

Allocations and deallocations are counted apart. A day is that of the record's time, so a replay counts the same. A
reserve that policy approved counts, a re-issue counts again, and a release or a rejection gives nothing back. Like a
balance, a sum is changed by commands of several partitions: so each decision that read it takes the next number of its
sequence, and the commit guards that (decision 5).
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import NamedTuple

from schemas.commands import Reserve
from schemas.events import UsageFact
from schemas.words import Kind, Scope


class UsageKey(NamedTuple):
    scope: Scope
    id: str
    kind: Kind
    currency: str
    day: date


class Usage(NamedTuple):
    """A sum in base units. `sequence` counts the decisions that read or moved it."""

    key: UsageKey
    sequence: int = 0
    total: int = 0


Usages = Mapping[UsageKey, Usage]


def usage_key(scope: Scope, command: Reserve, recorded_at: datetime) -> UsageKey:
    owner = command.client_id if scope is Scope.CLIENT else command.connection_id
    return UsageKey(scope, owner, command.kind, command.amount.currency, recorded_at.astimezone(UTC).date())


def count(usage: Usage, quantity: int) -> Usage:
    """The sum after a decision that read it; `quantity` is 0 when the reserve was rejected."""
    return usage._replace(sequence=usage.sequence + 1, total=usage.total + quantity)


def usage_fact(before: Usage) -> UsageFact:
    return UsageFact(**before.key._asdict(), sequence=before.sequence + 1, total_before=str(before.total))


def usages_before(facts: Iterable[UsageFact] | None) -> tuple[Usage, ...]:
    """The sums as a decision found them."""
    return tuple(
        Usage(
            UsageKey(fact.scope, fact.id, fact.kind, fact.currency, fact.day), fact.sequence - 1, int(fact.total_before)
        )
        for fact in facts or ()
    )
