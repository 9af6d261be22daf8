"""Decisions on an account whose events were not published although later ones were.

A relay that has much to catch up publishes its partitions in parts, so that of an account whose allocations are on
several partitions, decision 7 may be missing where decision 8 is there. What 8 found is known, so the command that 7
was is put back between 6 and 8, and not behind the last.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from processor.domain.account import Account, AccountKey, Book, Movement, apply_decision
from processor.domain.batch import Batch, Read
from processor.domain.machine import Allocation
from processor.domain.policy import Judge
from processor.domain.rows import LoadedRows
from proof.checkpoint.file import BlockKind, reading
from proof.log.progress import Progress
from schemas.commands import Command, Reserve
from service.postgres import Connection
from service.sql import statements

_SQL: Final = statements("proof.log")


@dataclass
class Gap:
    """`account`: as it is after what is known to be before. `then`: as the next known decision found it.

    Of the partitions that are `ahead`, later decisions are known, so that none of theirs is missing here.
    """

    account: Account
    then: Account
    ahead: frozenset[int] = frozenset()


class Gaps:
    """The gaps of all accounts, filled in the order in which commands come that fit."""

    def __init__(self, gaps: dict[AccountKey, list[Gap]], judge: Judge) -> None:
        self._gaps = gaps
        self._judge = judge

    def add(self, batch: Batch, each: Read) -> None:
        """Decide one record; in a gap of its account when it fits there."""
        key = _account_key(batch, each.content) if isinstance(each.content, Command) else None
        gap = self._first(key, each.record.partition) if key else None
        if key is None or gap is None or not self._fits(batch, each, gap):
            batch.add(each)
            return
        last = batch.accounts.get(key)
        batch.accounts[key] = gap.account
        batch.add(each)
        gap.account = batch.accounts.pop(key)
        if last is not None:
            batch.accounts[key] = last
        if gap.account == gap.then:
            self._gaps[key].remove(gap)

    def _first(self, key: AccountKey, partition: int) -> Gap | None:
        """The first gap in which a decision of the partition can be missing."""
        return next((gap for gap in self._gaps.get(key, ()) if partition not in gap.ahead), None)

    def _fits(self, batch: Batch, each: Read, gap: Gap) -> bool:
        """Whether a gap's last decision leaves what the one after it found; others may be in any order."""
        trial = Batch(LoadedRows(batch.watermarks, batch.states, {gap.account.key: gap.account}), self._judge)
        try:
            trial.add(each)
        except ArithmeticError:
            return False
        after = trial.accounts[gap.account.key]
        return after.sequence < gap.then.sequence or after == gap.then

    def unfilled(self) -> Iterator[str]:
        for key, gaps in self._gaps.items():
            for gap in gaps:
                yield (
                    f"account {'/'.join(key)}: decisions {gap.account.sequence + 1} to {gap.then.sequence} are in no "
                    f"event, and no command that was decided anew leads from {_balances(gap.account)} to the "
                    f"{_balances(gap.then)} that the next one found"
                )


async def load_gaps(connection: Connection, judge: Judge, file: Path | None, progress: Progress) -> Gaps:
    """As the journal has them, behind the accounts of a checkpoint's file."""
    gaps: dict[AccountKey, list[Gap]] = {}
    await _load_accounts(connection, file, progress)
    async with connection.transaction(), connection.cursor("gaps") as cursor:
        await cursor.execute(_SQL["decisions_around_gaps"])
        rows = [row async for row in cursor]
    for key, own in groupby(rows, lambda row: (row[0], row[1])):
        gaps[key] = list(_gaps(key, own))
    return Gaps(gaps, judge)


async def _load_accounts(connection: Connection, file: Path | None, progress: Progress) -> None:
    """Into a table of this connection's own."""
    await connection.execute(_SQL["account_before"])
    if file is None:
        return
    async with connection.cursor().copy(_SQL["copy_account_before"]) as copy:
        with reading(file, progress) as checkpoint:
            for part, rows in checkpoint:
                for row in rows if part is BlockKind.ACCOUNTS else ():
                    await copy.write_row(row)


def _gaps(key: AccountKey, rows: Iterable[tuple[Any, ...]]) -> Iterator[Gap]:
    rows = list(rows)
    latest = {partition: sequence for _, _, partition, sequence, *_ in rows}
    first_sequence, first_available, first_held = rows[0][-3:]
    account = Account(*key, first_sequence, int(first_available), int(first_held))
    for _, _, _, sequence, available, held, debit, credit, quantity, *_ in rows:
        found = Account(*key, sequence - 1, int(available), int(held))
        if found.sequence > account.sequence:
            ahead = frozenset(each for each, known in latest.items() if known > found.sequence)
            yield Gap(account, found, ahead)
        account = apply_decision(found, Movement(Book(debit), Book(credit), int(quantity)) if debit else None)


def _account_key(batch: Batch, command: Command) -> AccountKey | None:
    state = batch.states.get(command.subject_id)
    if isinstance(state, Allocation):
        return state.connection_id, state.amount.currency
    return (command.connection_id, command.amount.currency) if isinstance(command, Reserve) else None


def _balances(account: Account) -> str:
    return f"{account.available} available and {account.held} held"
