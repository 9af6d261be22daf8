"""The rows that a batch needs, and which of them its records ask for."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import NamedTuple

from processor.domain.account import Account, AccountKey
from processor.domain.adjustment import Adjustment
from processor.domain.connection import Connection, PlatformAccount
from processor.domain.machine import State
from processor.domain.usage import Usage, UsageKey
from schemas.commands import (
    ActivateConnection,
    AdjustBalance,
    AllocationCommand,
    Command,
    ConnectionCommand,
    Reserve,
)
from schemas.words import Kind, Verb


class Watermark(NamedTuple):
    """A partition's next offset to apply, and the hash of the last journal row before it."""

    next_offset: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class LoadedRows:
    """The rows that a batch needs, as they were at one instant. An id or an account without a row is missing."""

    watermarks: Mapping[int, Watermark]
    states: Mapping[str, State]
    accounts: Mapping[AccountKey, Account]
    adjustments: Mapping[str, Adjustment] = field(default_factory=dict)
    connections: Mapping[str, Connection] = field(default_factory=dict)
    platform_accounts: Mapping[str, PlatformAccount] = field(default_factory=dict)
    usages: Mapping[UsageKey, Usage] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The rows that records ask for.

    `moved_ids` are the allocations whose accounts are wanted with them, `opened_ids` those that begin with a reserve.
    `changed_connections` are wanted with their platform accounts, the connections and balances of these, and those
    with one of the `token_hashes`.
    """

    partitions: AbstractSet[int]
    allocation_ids: AbstractSet[str]
    opened_ids: AbstractSet[str]
    moved_ids: AbstractSet[str]
    accounts: AbstractSet[AccountKey]
    adjustment_ids: AbstractSet[str]
    connection_ids: AbstractSet[str]
    changed_connections: AbstractSet[str]
    platform_accounts: AbstractSet[str]
    token_hashes: AbstractSet[str]
    usages: AbstractSet[UsageKey]


def wanted(
    partitions: AbstractSet[int], commands: Iterable[Command], *, connections: bool, usages: Iterable[UsageKey]
) -> Wanted:
    """The rows to load, as far as the commands alone determine them; the connections of reserves only if asked."""
    commands = list(commands)
    own = [each for each in commands if isinstance(each, AllocationCommand)]
    moved = {command.allocation_id for command in own if _may_move(command)}
    first = {command.allocation_id: command for command in reversed(own)}
    reserves = [each for each in own if isinstance(each, Reserve)]
    adjustments = [each for each in commands if isinstance(each, AdjustBalance)]
    changes = [each for each in commands if isinstance(each, ConnectionCommand)]
    activations = [each for each in changes if isinstance(each, ActivateConnection)]
    return Wanted(
        partitions=partitions,
        allocation_ids=first.keys(),
        opened_ids={allocation_id for allocation_id, command in first.items() if isinstance(command, Reserve)},
        moved_ids=moved,
        accounts={(each.connection_id, each.amount.currency) for each in reserves if each.allocation_id in moved}
        | {(each.connection_id, entry.currency) for each in adjustments for entry in each.entries},
        adjustment_ids={each.adjustment_id for each in adjustments},
        connection_ids={each.connection_id for each in reserves if connections}
        | {each.connection_id for each in changes},
        changed_connections={each.connection_id for each in changes},
        platform_accounts={each.issued.partners_connection_id for each in activations if each.issued},
        token_hashes={each.token_hash for each in activations},
        usages=frozenset(usages),
    )


def _may_move(command: AllocationCommand) -> bool:
    """Whether a command may read or move an account: all but the reserve and the release of an allocation."""
    return command.kind is Kind.DEALLOCATION or command.verb is Verb.CLEAR
