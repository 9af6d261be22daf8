"""Decisions on an account whose events were not published although later ones were.

A relay that has much to catch up publishes its partitions in parts, so that of an account whose allocations are on
several partitions, decision 7 may be missing where decision 8 is there. What 8 found is known, so the command that 7
was is put back between 6 and 8, and not behind the last. A command that touches several accounts, or one of the
platform, or the sums of a day, is put back where it fits in all of them. An activation that is put back reads the
connections that its platform account had by then.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, islice
from pathlib import Path
from typing import Any, Final, TypeAlias

from processor.domain.account import Account, AccountKey, Book, Movement, apply_decision
from processor.domain.batch import Batch, Read
from processor.domain.connection import Connection as Connected
from processor.domain.connection import PlatformAccount, platform_account_of
from processor.domain.machine import Allocation
from processor.domain.policy import Policy
from processor.domain.rows import LoadedRows
from processor.domain.usage import Usage, UsageKey, count
from processor.postgres.rows import usage_of_row
from proof.checkpoint.file import BlockKind, reading
from proof.log.progress import Progress
from schemas.commands import ActivateConnection, AdjustBalance, AllocationCommand, Command, ConnectionCommand, Reserve
from service.postgres import Connection
from service.sql import statements

TRIES_MAX: Final = 64
"""Of one command, in how many combinations of gaps it is tried: all of those of six accounts."""

Key: TypeAlias = AccountKey | str | UsageKey
"""Of an account, of one of the platform, or of a day's sum."""

_SQL: Final = statements("proof.log")


@dataclass
class Gap:
    """`account`: as it is after what is known to be before. `then`: as the next known decision found it.

    Of the partitions that are `ahead`, later decisions are known, so that none of theirs is missing here.
    """

    account: Account | PlatformAccount | Usage
    then: Account | PlatformAccount | Usage
    ahead: frozenset[int] = frozenset()


class Gaps:
    """The gaps of all accounts, filled in the order in which commands come that fit.

    `activated`: which decision on its platform account activated a connection first, as far as events tell.
    """

    def __init__(
        self, gaps: Mapping[Any, list[Gap]], policy: Policy, activated: Mapping[str, int] | None = None
    ) -> None:
        self._gaps: dict[Key, list[Gap]] = dict(gaps)
        self._policy = policy
        self._activated = dict(activated or {})

    def add(self, batch: Batch, each: Read) -> None:
        """Decide one record; in gaps of its accounts where it fits there."""
        gaps = self._fitting(batch, each)
        later = self._later(batch, each, gaps)
        latest = {key: _accounts(batch, key).get(key) for key in gaps}
        for key, gap in gaps.items():
            _accounts(batch, key)[key] = gap.account
        for connection_id in later:
            del batch.connections[connection_id]
        before = set(batch.connections)
        batch.add(each)
        for connection_id in batch.connections.keys() - before:
            of = batch.connections[connection_id].partners_connection_id
            self._activated[connection_id] = batch.platform_accounts[of].sequence
        batch.connections |= later
        for key, gap in gaps.items():
            gap.account = _accounts(batch, key).pop(key)
            if (last := latest[key]) is not None:
                _accounts(batch, key)[key] = last
            if gap.account == gap.then:
                self._gaps[key].remove(gap)

    def _fitting(self, batch: Batch, each: Read) -> dict[Key, Gap]:
        """The gaps in which a command fits, as many as possible: its place on the other accounts is the last."""
        if not self._gaps or not isinstance(each.content, Command):
            return {}
        keys = _keys(batch, each.content)
        if isinstance(each.content, Reserve):
            keys |= set(self._policy.usage_keys(each.content, each.record.recorded_at))
        firsts = {key: self._first(key, each.record.partition) for key in sorted(keys, key=str)}
        found = [(key, gap) for key, gap in firsts.items() if gap is not None]
        sizes = range(len(found), 0, -1)
        tries = (dict(chosen) for size in sizes for chosen in combinations(found, size))
        return next((gaps for gaps in islice(tries, TRIES_MAX) if self._fits(batch, each, gaps)), {})

    def _first(self, key: Key, partition: int) -> Gap | None:
        """The first gap in which a decision of the partition can be missing."""
        return next((gap for gap in self._gaps.get(key, ()) if partition not in gap.ahead), None)

    def _later(self, batch: Batch, each: Read, gaps: Mapping[Key, Gap]) -> dict[str, Connected]:
        """The connections that an activation can not have read: they were activated behind its gap."""
        if not isinstance(each.content, ActivateConnection):
            return {}
        found = {key: gap.account.sequence for key, gap in gaps.items() if isinstance(key, str)}
        return {
            connection_id: connection
            for connection_id, connection in batch.connections.items()
            if connection_id != each.content.connection_id
            and connection.partners_connection_id in found
            and self._activated.get(connection_id, 0) > found[connection.partners_connection_id]
        }

    def _fits(self, batch: Batch, each: Read, gaps: Mapping[Key, Gap]) -> bool:
        """Whether a gap's last decision leaves what the one after it found; others may be in any order."""
        later = self._later(batch, each, gaps)
        trial = Batch(
            LoadedRows(
                batch.watermarks,
                batch.states,
                batch.accounts,
                batch.adjustments,
                {key: connection for key, connection in batch.connections.items() if key not in later},
                batch.platform_accounts,
                batch.usages,
            ),
            self._policy,
        )
        for key, gap in gaps.items():
            _accounts(trial, key)[key] = gap.account
        try:
            trial.add(each)
        except ArithmeticError:
            return False
        after = {key: _accounts(trial, key)[key] for key in gaps}
        return all(after[key].sequence < gap.then.sequence or after[key] == gap.then for key, gap in gaps.items())

    def unfilled(self) -> Iterator[str]:
        for key, gaps in self._gaps.items():
            name = _name(key)
            for gap in gaps:
                yield (
                    f"{name}: decisions {gap.account.sequence + 1} to {gap.then.sequence} are in no event, and no "
                    f"command that was decided anew leads from {_words(gap.account)} to the {_words(gap.then)} that "
                    "the next one found"
                )


async def load_gaps(connection: Connection, policy: Policy, file: Path | None, progress: Progress) -> Gaps:
    """As the journal has them, behind the accounts of a checkpoint's file. Memory: the gaps, not all decisions."""
    await _load_accounts(connection, file, progress)
    gaps: dict[Key, list[Gap]] = defaultdict(list)
    for row in await _rows(connection, "account_gaps"):
        gaps[row[0], row[1]].append(_account_gap(row))
    for row in await _rows(connection, "platform_account_gaps"):
        gaps[row[0]].append(_platform_account_gap(row))
    accounts = [key for key in gaps if isinstance(key, str)]
    activated = dict(await _rows(connection, "first_activations", accounts=accounts))
    for row in await _rows(connection, "usage_gaps"):
        gaps[usage_of_row(row[:7]).key].append(_usage_gap(row))
    return Gaps(gaps, policy, activated)


async def _load_accounts(connection: Connection, file: Path | None, progress: Progress) -> None:
    """Into tables of this connection's own."""
    await connection.execute(_SQL["account_before"])
    await connection.execute(_SQL["platform_account_before"])
    await connection.execute(_SQL["usage_before"])
    if file is None:
        return
    for part, statement in (
        (BlockKind.ACCOUNTS, "copy_account_before"),
        (BlockKind.PLATFORM_ACCOUNTS, "copy_platform_account_before"),
        (BlockKind.USAGES, "copy_usage_before"),
    ):
        async with connection.cursor().copy(_SQL[statement]) as copy:
            with reading(file, progress) as checkpoint:
                for found, rows in checkpoint:
                    for row in rows if found is part else ():
                        await copy.write_row(row)


async def _rows(connection: Connection, name: str, **asked: Any) -> list[tuple[Any, ...]]:
    return await (await connection.execute(_SQL[name], asked)).fetchall()


def _account_gap(row: tuple[Any, ...]) -> Gap:
    *key, last, available, held, debit, credit, quantity, known, then_available, then_held, ahead = row
    found = Account(key[0], key[1], last - 1, int(available), int(held))
    account = apply_decision(found, Movement(Book(debit), Book(credit), int(quantity)) if debit else None)
    return Gap(account, Account(key[0], key[1], known - 1, int(then_available), int(then_held)), frozenset(ahead))


def _platform_account_gap(row: tuple[Any, ...]) -> Gap:
    key, last, connected_by, known, then_connected_by, ahead = row
    account = PlatformAccount(key, last, connected_by)
    return Gap(account, PlatformAccount(key, known - 1, then_connected_by), frozenset(ahead))


def _usage_gap(row: tuple[Any, ...]) -> Gap:
    *key, last, total, quantity, known, then_total, ahead = row
    usage = count(usage_of_row((*key, last - 1, total)), int(quantity))
    return Gap(usage, usage_of_row((*key, known - 1, then_total)), frozenset(ahead))


def _accounts(batch: Batch, key: Key) -> dict[Any, Any]:
    """Those of the batch among which `key` is."""
    if isinstance(key, UsageKey):
        return batch.usages
    return batch.platform_accounts if isinstance(key, str) else batch.accounts


def _keys(batch: Batch, command: Command) -> set[Key]:
    """Of all accounts that a decision may read or move."""
    if isinstance(command, AdjustBalance):
        return {(command.connection_id, entry.currency) for entry in command.entries}
    if isinstance(command, ConnectionCommand):
        return _keys_of_connection(batch, command)
    assert isinstance(command, AllocationCommand), "every command is of a subject that is known"  # noqa: S101
    state = batch.states.get(command.allocation_id)
    if isinstance(state, Allocation):
        return {(state.connection_id, state.amount.currency)}
    return {(command.connection_id, command.amount.currency)} if isinstance(command, Reserve) else set()


def _keys_of_connection(batch: Batch, command: ConnectionCommand) -> set[Key]:
    state = batch.connections.get(command.connection_id)
    account = platform_account_of(state, command)
    if account is None:
        return set()
    if state is not None or not isinstance(command, ActivateConnection):
        return {account}
    known = {key for key, each in batch.connections.items() if each.partners_connection_id == account}
    return {account, *(key for key in batch.accounts if key[0] in known | {command.connection_id})}


def _name(key: Key) -> str:
    if isinstance(key, UsageKey):
        return f"daily_usage {'/'.join(map(str, key))}"
    return f"platform_account {key}" if isinstance(key, str) else f"account {'/'.join(key)}"


def _words(found: Account | PlatformAccount | Usage) -> str:
    if isinstance(found, Usage):
        return f"{found.total} reserved"
    if isinstance(found, PlatformAccount):
        return f"connection {found.connected_by}" if found.connected_by else "no connection"
    return f"{found.available} available and {found.held} held"
