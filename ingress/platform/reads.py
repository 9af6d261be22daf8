"""Connections, balances, ledgers, histories and open reservations, as they stand in the tables.

Each function runs one statement, or says why it needs more: what it returns held at one instant. Pages are keyset
pages, so a row that is there from the first to the last is on exactly one of them, whatever is written meanwhile.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from ingress.platform import cursors
from ingress.platform.cursors import OFFSET_MAX, AfterEntry
from ingress.platform.queries import AccountsQuery, ConnectionsQuery, HistoryQuery, ReservationsQuery
from ingress.postgres.database import Connection
from schemas.platform import (
    AccountList,
    AccountNow,
    AdjustmentNow,
    AllocationNow,
    AmountNow,
    ConnectionList,
    ConnectionNow,
    History,
    HistoryEntry,
    LedgerEntry,
    LedgerPage,
    LogPositions,
    OpenReservation,
    ReservationList,
    StateThen,
    SubjectOfEntry,
)
from schemas.records import Position, key_of
from schemas.topics import partition_of
from schemas.words import Kind, Subject
from service.log_checks import LogIdentity
from service.sql import statements

HOLDS_MAX: Final = 200
"""Holds that are listed of one account; all are counted."""
KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "allocation": tuple(Kind),
    "connection": (Subject.CONNECTION,),
    "adjustment": (Subject.ADJUSTMENT,),
}
"""The kinds of commands in the history of each: both kinds of allocation share their ids."""

_SQL: Final = statements("ingress.postgres")
_FIRST_INSTANT: Final = datetime(1, 1, 1, tzinfo=UTC)
_FIRST_ID: Final = "00000000-0000-0000-0000-000000000000"


async def connections(connection: Connection, query: ConnectionsQuery) -> ConnectionList:
    asked = query.model_dump() | {
        "after": query.after.connection_id if query.after else None,
        "limit": query.limit + 1,
    }
    cursor = await connection.execute(_SQL["platform_connections"], asked)
    found = [ConnectionNow.model_validate(row) for (row,) in await cursor.fetchall()]
    page = found[: query.limit]
    more = len(found) > query.limit
    return ConnectionList(
        connections=page,
        next=cursors.CONNECTIONS.text(cursors.AfterConnection(page[-1].connection_id)) if more else None,
    )


async def connection_now(connection: Connection, connection_id: str) -> ConnectionNow | None:
    cursor = await connection.execute(_SQL["platform_connection"], {"connection_id": connection_id})
    row = await cursor.fetchone()
    return ConnectionNow.model_validate(row[0]) if row else None


async def accounts(
    connection: Connection, identity: LogIdentity, connection_id: str, query: AccountsQuery
) -> AccountList | None:
    """The balances of a connection; None when there is neither a connection nor an account of this id."""
    asked = {
        "connection_id": connection_id,
        "after": query.after.currency if query.after else None,
        "open_holds": query.open_holds,
        "holds_max": HOLDS_MAX,
        "limit": query.limit + 1,
    }
    row = await (await connection.execute(_SQL["platform_accounts"], asked)).fetchone()
    assert row is not None, "a SELECT without FROM has a row"  # noqa: S101
    positions, is_known, found = row
    if not is_known:
        return None
    page = (found or [])[: query.limit]
    more = len(found or []) > query.limit
    return AccountList(
        as_of=_positions(identity, positions),
        accounts=[AccountNow.model_validate(each) for each in page],
        next=cursors.ACCOUNTS.text(cursors.AfterAccount(page[-1]["currency"])) if more else None,
    )


async def all_accounts(connection: Connection, identity: LogIdentity, limit: int) -> tuple[AccountList, bool]:
    """The balances of all connections, up to a limit, and whether there are more."""
    row = await (await connection.execute(_SQL["platform_all_accounts"], {"limit": limit + 1})).fetchone()
    assert row is not None, "a SELECT without FROM has a row"  # noqa: S101
    positions, found = row
    listed = [AccountNow.model_validate(each) for each in (found or [])[:limit]]
    return AccountList(as_of=_positions(identity, positions), accounts=listed), len(found or []) > limit


def _positions(identity: LogIdentity, positions: Mapping[str, int] | None) -> LogPositions:
    ordered = sorted((int(partition), offset) for partition, offset in (positions or {}).items())
    return LogPositions(topic=identity.commands_topic, positions=dict(ordered))


class Ledger(NamedTuple):
    """Of which account."""

    identity: LogIdentity
    connection_id: str
    currency: str

    async def sequence(self, connection: Connection) -> int | None:
        """The account's sequence; None when there is no such account."""
        asked = {"connection_id": self.connection_id, "currency": self.currency}
        row = await (await connection.execute(_SQL["platform_account"], asked)).fetchone()
        return row[0] if row else None

    async def entries(
        self,
        connection: Connection,
        after: AfterEntry | None,
        limit: int,
        *,
        through: int = OFFSET_MAX,
        skip: int = 0,
    ) -> list[LedgerEntry]:
        """Up to `limit` entries after a place, the oldest first, and none beyond the sequence `through`."""
        asked = {
            "connection_id": self.connection_id,
            "currency": self.currency,
            "after": after.sequence if after else 0,
            "through": through,
            "limit": limit,
            "skip": skip,
        }
        rows = await (await connection.execute(_SQL["platform_ledger"], asked)).fetchall()
        return ledger_entries(self.identity.commands_topic, rows, after)

    async def page(self, connection: Connection, after: AfterEntry | None, limit: int) -> LedgerPage:
        """A page; what was pruned is asked for last, because it is marked before it is deleted."""
        found = await self.entries(connection, after, limit + 1)
        row = await (await connection.execute(_SQL["platform_pruned"])).fetchone()
        page = found[:limit]
        return LedgerPage(
            connection_id=self.connection_id,
            currency=self.currency,
            entries=page,
            next=cursors.LEDGER.text(place_of(page[-1])) if len(found) > limit else None,
            pruned_before=_positions(self.identity, row[0]) if row and row[0] else None,
        )


def ledger_entries(topic: str, rows: Sequence[Sequence[Any]], after: AfterEntry | None) -> list[LedgerEntry]:
    """Entries from ledger rows with the facts of their journal rows; `after` is the entry before them."""
    left = (int(after.available), int(after.held)) if after else (0, 0)
    entries = []
    for row in rows:
        sequence, at, debit, credit, quantity, available, held, kind, subject, verb, reason, command, *place = row
        before = int(available), int(held)
        changes = [int(quantity) * ((credit == book) - (debit == book)) for book in ("available", "held")]
        now = before[0] + changes[0], before[1] + changes[1]
        entries.append(
            LedgerEntry(
                sequence=sequence,
                at=at,
                debit=debit,
                credit=credit,
                quantity=quantity,
                available_change=str(changes[0]),
                held_change=str(changes[1]),
                available=str(now[0]),
                held=str(now[1]),
                missing_before=before != left,
                subject=SubjectOfEntry(kind=kind, id=subject, verb=verb),
                reason=reason,
                command_id=command,
                position=str(Position(topic, *place)),
            )
        )
        left = now
    return entries


def place_of(entry: LedgerEntry) -> AfterEntry:
    return AfterEntry(entry.sequence, entry.available, entry.held)


async def history(
    connection: Connection, identity: LogIdentity, of: str, subject_id: str, query: HistoryQuery
) -> History | None:
    """The commands on an id, `of` one of KINDS; None when nothing is known of it, and nothing was pruned."""
    partition = partition_of(key_of(subject_id), identity.partitions)
    asked = {
        "id": subject_id,
        "kinds": list(KINDS[of]),
        "partition": partition,
        "after": query.after.offset if query.after else -1,
        "limit": query.limit + 1,
    }
    row = await (await connection.execute(_SQL["platform_history"], asked)).fetchone()
    assert row is not None, "a SELECT without FROM has a row"  # noqa: S101
    pruned_before, allocation, connected, adjustment, found = row
    if query.after is None and not (allocation or connected or adjustment or found):
        return None
    page = (found or [])[: query.limit]
    more = len(found or []) > query.limit
    return History(
        id=subject_id,
        current=_current(allocation, connected, adjustment),
        commands=[_entry(Position(identity.commands_topic, partition, each["offset"]), each) for each in page],
        next=cursors.HISTORY.text(cursors.AfterCommand(page[-1]["offset"])) if more else None,
        pruned_before=_positions(identity, {str(partition): pruned_before}) if pruned_before else None,
    )


def _current(
    allocation: dict[str, Any] | None, connected: dict[str, Any] | None, adjustment: dict[str, Any] | None
) -> AllocationNow | ConnectionNow | AdjustmentNow | None:
    if allocation:
        currency, quantity = allocation.pop("currency"), allocation.pop("quantity")
        allocation["amount"] = AmountNow(currency=currency, quantity=quantity) if quantity else None
        allocation.pop("edition")
        return AllocationNow.model_validate(allocation)
    if connected:
        return ConnectionNow.model_validate(connected)
    return AdjustmentNow.model_validate(adjustment) if adjustment else None


def _entry(position: Position, row: Mapping[str, Any]) -> HistoryEntry:
    return HistoryEntry(
        position=str(position),
        at=row["recorded_at"],
        command_id=row["command_id"],
        kind=row["kind"],
        verb=row["verb"],
        outcome=row["outcome"],
        reason=row["reason"],
        before=_state(row["status_before"], row["version_before"]),
        after=_state(row["status_after"], row["version_after"]),
        event=row["event"],
        facts=row["facts"],
        traceparent=row["traceparent"],
    )


def _state(status: str | None, version: int | None) -> StateThen | None:
    return None if status is None or version is None else StateThen(status=status, version=version)


async def reservations(connection: Connection, query: ReservationsQuery) -> ReservationList:
    asked = {
        "kind": query.kind,
        "connection_id": query.connection_id,
        "older_than": query.older_than,
        "after_instant": query.after.reserved_at if query.after else _FIRST_INSTANT,
        "after_id": query.after.allocation_id if query.after else _FIRST_ID,
        "limit": query.limit + 1,
    }
    rows = await (await connection.execute(_SQL["platform_reservations"], asked)).fetchall()
    page = rows[: query.limit]
    more = len(rows) > query.limit
    return ReservationList(
        reservations=[_reservation(row) for row in page],
        next=cursors.RESERVATIONS.text(cursors.AfterReservation(page[-1][8], page[-1][0])) if more else None,
    )


def _reservation(row: Sequence[Any]) -> OpenReservation:
    allocation_id, kind, currency, quantity, client_id, connection_id, account, version, reserved_at, age = row
    return OpenReservation(
        id=allocation_id,
        kind=kind,
        amount=AmountNow(currency=currency, quantity=quantity),
        client_id=client_id,
        connection_id=connection_id,
        partners_connection_id=account,
        version=version,
        reserved_at=reserved_at,
        age_seconds=age,
    )
