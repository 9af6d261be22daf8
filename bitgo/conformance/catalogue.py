"""Every check, in the order of the reports."""

import fnmatch
from collections.abc import Sequence
from typing import Final

from bitgo.conformance.check import Check, Group
from bitgo.conformance.checks import (
    authentication,
    balances,
    bodies,
    connections,
    editions,
    lists,
    numbers,
    problems,
    races,
    reads,
    refusal_order,
    repeats,
    shapes,
    status_reads,
    time_limits,
    transitions,
    unknown_ids,
)

GROUPS: Final[tuple[Group, ...]] = (
    authentication.GROUP,
    shapes.GROUP,
    editions.GROUP,
    numbers.GROUP,
    bodies.GROUP,
    transitions.GROUP,
    repeats.GROUP,
    balances.GROUP,
    unknown_ids.GROUP,
    races.GROUP,
    refusal_order.GROUP,
    reads.GROUP,
    lists.GROUP,
    connections.GROUP,
    time_limits.GROUP,
    status_reads.GROUP,
    problems.GROUP,
)
CHECKS: Final[tuple[Check, ...]] = tuple(check for group in GROUPS for check in group.checks)


def chosen(patterns: Sequence[str]) -> list[Check]:
    """Those whose id or group is named, or all; `*` stands for anything. Raises ValueError for what names none."""
    if not patterns:
        return list(CHECKS)
    for pattern in patterns:
        if not any(names(pattern, check) for check in CHECKS):
            raise ValueError(f"{pattern} names no check; --list shows them all")
    return [check for check in CHECKS if any(names(pattern, check) for pattern in patterns)]


def names(pattern: str, check: Check) -> bool:
    return pattern == check.group or fnmatch.fnmatchcase(check.id, pattern)
