"""Balances, ledgers and histories as lines for people."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from replay.printable import printable
from schemas.platform import AccountNow, History, HistoryEntry, LedgerEntry, LogPositions, StateThen

SHOWN_BYTES: Final = 2000


def history_lines(of: str, history: History) -> Iterator[str]:
    """What it is now, then each command on it."""
    if history.current is None:
        yield f"{of} {history.id}: there is none; these commands changed nothing"
    else:
        for name, value in _flat(history.current.model_dump(mode="json", by_alias=True, exclude_none=True)):
            yield f"{name:24} {_safe(value)}"
    yield ""
    yield from _table(
        ("at", "position", "kind", "verb", "outcome", "reason", "before", "after", "command"),
        [_command(each) for each in history.commands],
    )
    if history.pruned_before:
        yield positions_line("older commands may have been pruned: before", history.pruned_before)
    if history.next:
        yield f"{len(history.commands)} commands shown, and there are more: --limit"


def _flat(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in document.items():
        if isinstance(value, dict):
            yield name, " ".join(str(value[each]) for each in reversed(value))
        elif isinstance(value, list):
            for each in value:
                yield from _flat({name: each})
        else:
            yield name, str(value)


def _command(entry: HistoryEntry) -> Sequence[str]:
    return (
        entry.at,
        entry.position,
        entry.kind,
        entry.verb,
        entry.outcome,
        entry.reason or "",
        _state(entry.before),
        _state(entry.after),
        entry.command_id,
    )


def _state(state: StateThen | None) -> str:
    return f"{state.status} {state.version}" if state else "-"


def account_lines(accounts: Sequence[AccountNow]) -> Iterator[str]:
    if not accounts:
        yield "no accounts"
        return
    rows = [
        (each.connection_id, each.currency, each.available, each.held, str(each.sequence), _holds(each))
        for each in accounts
    ]
    yield from _table(
        ("connection", "currency", "available", "held", "sequence", "open holds"), rows, "available held sequence"
    )
    for each in accounts:
        for hold in each.open_holds.oldest if each.open_holds else ():
            yield f"  hold of {_safe(each.currency)}  {hold.quantity}  {hold.deallocation_id}  since {hold.reserved_at}"


def _holds(account: AccountNow) -> str:
    return f"{account.open_holds.count}: {account.open_holds.quantity}" if account.open_holds else ""


def entry_lines(entries: Sequence[LedgerEntry]) -> Iterator[str]:
    rows = [
        (
            str(each.sequence),
            each.at,
            f"{each.debit} → {each.credit}",
            each.quantity,
            each.available,
            each.held,
            f"{each.subject.verb} {each.subject.kind} {each.subject.id}",
            each.reason or "",
            "entries before this one were pruned" if each.missing_before else "",
        )
        for each in entries
    ]
    columns = ("sequence", "at", "movement", "quantity", "available", "held", "by", "reason", "")
    yield from _table(columns, rows, "sequence quantity available held")


def positions_line(words: str, positions: LogPositions) -> str:
    """Next offsets by partition."""
    places = ", ".join(f"{partition}: {offset}" for partition, offset in positions.positions.items())
    return f"{words} {positions.topic} {places}"


def _table(names: Sequence[str], rows: Iterable[Sequence[str]], right: str = "") -> Iterator[str]:
    cells = [names, *([_safe(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(names))]
    to_the_right = [bool(name) and name in right.split() for name in names]
    for row in cells:
        padded = [
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, to_the_right, strict=True)
        ]
        yield "  ".join(padded).rstrip()


def _safe(text: str) -> str:
    return printable(text.encode("utf-8", "backslashreplace"), SHOWN_BYTES)
