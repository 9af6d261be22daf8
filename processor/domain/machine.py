"""Every transition of an allocation, and nothing else.

Two rules. Everything that changes a status is in this file; this file knows no Kafka, no SQL, no clock.
A refusal changes nothing, and refusals are tried in the order in which they stand.

`decide` says what a command does to an allocation, as an event or a reason why not; `evolve` is the only way in which
an event changes an allocation. Both are total: whatever comes in, an outcome comes out (decision 4).
Contract, section 3, is the authority on the table.

If every message arrived once and in order, this would be a table and nothing else: policy opens an allocation as
reserved or rejected, and BitGo finishes a reserved one, by clear or by release. The code around the table exists
because messages are late, repeated, or overtake each other.

Tombstones. BitGo's reserve times out on the way, BitGo releases the id to be safe, and the release arrives first. If it
left no trace, the late reserve would set an amount aside that nobody will ever clear or release. So the release of an
unknown id is refused, because there is nothing to release, and leaves a tombstone, which refuses the late reserve. A
tombstone is not an allocation: it has version 0, no event and no content, clear and release of it are `not_found`, and
no read shows it. Ugly: a refusal changes nothing, except this one (`leaves_tombstone`), and `State` has three shapes
for its sake. And a tombstone lasts: an id that BitGo released by mistake before its reserve can never be reserved.

Expiry. A command that was appended after its deadline changes nothing, whatever it is. Its caller has been told that
the outcome is unknown, and may have acted on that. The check comes first, so an expired release leaves no tombstone. It
compares with the broker's append time and not with today's clock, so a replay decides the same. Ugly: the deadline is
by the ingress's clock and the append time by the broker's, and the 15 seconds are only as exact as the two agree; an
ingress that sees more than 5 s between them reports itself not ready.

Re-issue. BitGo's documents disagree whether a finished id may be reserved again, and by kind. So it is a setting, which
the ingress stamps on each reserve: the log then contains it, and changing it does not change history. Once an id can
have two lives, a message of the first must not act on the second. So a reserve opens a released id again only if it was
received after the release; and a clear or release received before the re-issue is refused. Ugly: `received_at` is the
ingress's clock and both moments are the broker's, so clocks decide here too. In doubt the machine refuses a re-issue: a
reserve of the very instant of the release counts as late, and so does one from an ingress whose clock is behind. And
such a clear gets `already_released` although the status is reserved: it is the first life that is meant.

Precedence. BitGo sees which refusal wins, so the order is part of the contract. A reserve: expired, the other kind's id
(`id_in_use`), a tombstone, other content, the table. The tombstone comes before content because it has none to compare;
content comes before the table, because a repeat must never be answered with somebody else's status. Clear and release:
expired, `not_found` for nothing, a tombstone and the other kind alike, received before a re-issue, the table. Ugly: the
same id of the other kind is `id_in_use` to one verb and `not_found` to the others. Both follow from BitGo's paths,
which name the kind: that path has no such allocation, but a reserve cannot create one either.

Time. An event happens at its record's append time, but never before the allocation's last one, because a new partition
leader's clock may be behind. So the times of one allocation never decrease, and `version` is what orders its events.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from types import MappingProxyType
from typing import Final, Literal, NamedTuple
from uuid import NAMESPACE_URL, uuid5

from schemas import events
from schemas.commands import AllocationCommand, Amount, Edition, Release, Reserve
from schemas.events import AllocationEvent, Opened
from schemas.words import AfterFinal, Kind, Outcome, Refusal, Status, Verb

POLICY: Final = "policy"
"""A cell of the table: policy decides between reserved and rejected."""

REPEAT: Final = "repeat"
"""A cell of the table: nothing changes, the current status is the answer."""

Cell = Status | Refusal | Literal["policy", "repeat"]
"""What a command meets: the status it leads to, the refusal it gets, POLICY or REPEAT."""


def _row(reserve: Cell, clear: Cell, release: Cell) -> Mapping[Verb, Cell]:
    return MappingProxyType({Verb.RESERVE: reserve, Verb.CLEAR: clear, Verb.RELEASE: release})


# fmt: off
TABLE: Final[Mapping[Status | None, Mapping[Verb, Cell]]] = MappingProxyType({
    #                    reserve                   clear                     release
    None:            _row(POLICY,                   Refusal.NOT_FOUND,        Refusal.NOT_FOUND),
    Status.RESERVED: _row(REPEAT,                   Status.CLEARED,           Status.RELEASED),
    Status.REJECTED: _row(REPEAT,                   Refusal.ALREADY_REJECTED, REPEAT),
    Status.CLEARED:  _row(Refusal.ALREADY_CLEARED,  REPEAT,                   Refusal.ALREADY_CLEARED),
    Status.RELEASED: _row(Refusal.ALREADY_RELEASED, Refusal.ALREADY_RELEASED, REPEAT),
})
"""The transition table. `None` is an id that was never seen."""

REISSUE: Final[Mapping[Status, Cell]] = MappingProxyType({
    Status.CLEARED:  REPEAT,
    Status.RELEASED: POLICY,
})
"""What a reserve meets instead, when a finished id may be issued again (`…_after_final` = reissue)."""
# fmt: on


@dataclass(frozen=True, slots=True)
class Tombstone:
    """An id that was released before it was reserved: a late reserve of it must not leave a reservation."""

    allocation_id: str
    kind: Kind
    created_at: datetime


class Extras(NamedTuple):
    """What a reserve may carry along. Kept with the row, never compared."""

    partner_client_id: str | None = None
    client_external_id: str | None = None
    initiated_by: str | None = None
    notes: str | None = None
    evaluation_id: str | None = None
    pending_approval_id: str | None = None


class Allocation(NamedTuple):
    """An allocation or a deallocation as it stands. `version` counts its transitions, from 1."""

    allocation_id: str
    kind: Kind
    status: Status
    version: int
    amount: Amount
    client_id: str
    connection_id: str
    partners_connection_id: str
    partner_allocation_id: str
    edition: Edition
    created_at: datetime
    updated_at: datetime
    extras: Extras = Extras()
    rejection_reason: str | None = None
    policy_result: Literal["approved", "rejected"] | None = None
    decided_by: str = ""
    """The command id of the reserve that policy decided last."""
    reissued_at: datetime | None = None
    release_cause: str | None = None
    """Why the platform released it; None when BitGo did."""


State = Allocation | Tombstone | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What policy says of a reserve. `evaluated` is false when no rule applied to it.

    `reason`: a `Rejection`, or the word of a platform's own policy.
    `connection_version`: of the connection that it looked at, 0 when there was none; None when it looked at none.
    """

    reason: str | None = None
    evaluated: bool = False
    connection_version: int | None = None

    @property
    def result(self) -> Literal["approved", "rejected"] | None:
        if not self.evaluated:
            return None
        return "approved" if self.reason is None else "rejected"


@dataclass(frozen=True, slots=True)
class Applied:
    event: AllocationEvent
    outcome: Literal[Outcome.APPLIED] = Outcome.APPLIED


@dataclass(frozen=True, slots=True)
class Repeated:
    outcome: Literal[Outcome.REPEATED] = Outcome.REPEATED


@dataclass(frozen=True, slots=True)
class Refused:
    reason: Refusal
    leaves_tombstone: bool = False
    outcome: Literal[Outcome.REFUSED] = Outcome.REFUSED


Decision = Applied | Repeated | Refused

_REPEATED: Final = Repeated()


def decide(state: State, command: AllocationCommand, verdict: Verdict, recorded_at: datetime) -> Decision:
    """What `command`, appended to the log at `recorded_at`, does to `state`. `verdict` counts for reserves only."""
    if recorded_at > command.deadline:
        return Refused(Refusal.EXPIRED)
    if isinstance(command, Reserve):
        return _reserve(state, command, verdict, recorded_at)
    return _finish(state, command, recorded_at)


def asks_policy(state: State, command: AllocationCommand, recorded_at: datetime) -> bool:
    """Whether `decide` rests on the verdict: nothing that comes before policy has an answer."""
    return isinstance(command, Reserve) and recorded_at <= command.deadline and _unasked(state, command) is None


def _reserve(state: State, command: Reserve, verdict: Verdict, recorded_at: datetime) -> Decision:
    return _unasked(state, command) or Applied(
        _opened(state if isinstance(state, Allocation) else None, command, verdict, recorded_at)
    )


def _unasked(state: State, command: Reserve) -> Decision | None:
    """What a reserve gets without policy."""
    if state is not None and state.kind is not command.kind:
        return Refused(Refusal.ID_IN_USE)
    if isinstance(state, Tombstone):
        return Refused(Refusal.ALREADY_RELEASED)
    if state is not None and not _same_content(state, command):
        return Refused(Refusal.DIFFERENT_CONTENT)
    cell = reserve_cell(state.status if state else None, command.after_final)
    if state is not None and cell == POLICY and command.received_at <= state.updated_at:
        return Refused(Refusal.ALREADY_RELEASED)
    if cell == POLICY:
        return None
    return Refused(cell) if isinstance(cell, Refusal) else _REPEATED


def reserve_cell(status: Status | None, after_final: AfterFinal) -> Cell:
    """The cell that a reserve meets, under the setting that the ingress stamped on it."""
    if after_final is AfterFinal.REISSUE and status is not None and status in REISSUE:
        return REISSUE[status]
    return TABLE[status][Verb.RESERVE]


def _finish(state: State, command: AllocationCommand, recorded_at: datetime) -> Decision:
    if state is None:
        return Refused(Refusal.NOT_FOUND, leaves_tombstone=command.verb is Verb.RELEASE)
    if isinstance(state, Tombstone) or state.kind is not command.kind:
        return Refused(Refusal.NOT_FOUND)
    if state.reissued_at is not None and command.received_at < state.reissued_at:
        return Refused(Refusal.ALREADY_RELEASED)
    cell = TABLE[state.status][command.verb]
    if isinstance(cell, Refusal):
        return Refused(cell)
    if isinstance(cell, Status):
        return Applied(_finished(state, command, cell, recorded_at))
    return _REPEATED


def _same_content(allocation: Allocation, command: Reserve) -> bool:
    """The content is kind, amount, currency, client and both connection ids; nothing else is compared."""
    return (
        allocation.amount == command.amount
        and allocation.client_id == command.client_id
        and allocation.connection_id == command.connection_id
        and allocation.partners_connection_id == command.partners_connection_id
    )


def _opened(state: Allocation | None, command: Reserve, verdict: Verdict, recorded_at: datetime) -> AllocationEvent:
    """The event of a reserve that policy decided; a re-issue keeps the partner id, the edition and the extras."""
    status = Status.RESERVED if verdict.reason is None else Status.REJECTED
    rejected = {} if verdict.reason is None else {"rejection_reason": verdict.reason}
    return _OPENED[command.kind, status](
        allocation_id=command.allocation_id,
        version=state.version + 1 if state else 1,
        occurred_at=max(recorded_at, state.updated_at) if state else recorded_at,
        command_id=command.command_id,
        amount=command.amount,
        client_id=command.client_id,
        connection_id=command.connection_id,
        partners_connection_id=command.partners_connection_id,
        partner_allocation_id=state.partner_allocation_id if state else _partner_id(command),
        policy_result=verdict.result,
        edition=state.edition if state else command.edition,
        **(state.extras if state else _extras(command))._asdict(),
        **rejected,
    )


def _finished(state: Allocation, command: AllocationCommand, status: Status, recorded_at: datetime) -> AllocationEvent:
    return _FINISHED[state.kind, status](
        allocation_id=state.allocation_id,
        version=state.version + 1,
        occurred_at=max(recorded_at, state.updated_at),
        command_id=command.command_id,
        amount=state.amount,
        client_id=state.client_id,
        connection_id=state.connection_id,
        partners_connection_id=state.partners_connection_id,
        partner_allocation_id=state.partner_allocation_id,
        **({"cause": command.cause} if isinstance(command, Release) and command.cause else {}),
    )


def _extras(source: Reserve | Opened) -> Extras:
    return Extras._make(_EXTRAS(source))


def _partner_id(command: Reserve) -> str:
    """BitGo's when it sent one, else derived from the id, so that a retry and a replay get the same one."""
    return command.partner_allocation_id or str(uuid5(NAMESPACE_URL, f"{command.kind}:{command.allocation_id}"))


_EXTRAS: Final = attrgetter(*Extras._fields)
_OPENED: Final[Mapping[tuple[Kind, Status], type[Opened]]] = MappingProxyType(
    {
        (event.kind, event.status): event
        for event in (
            events.AllocationReserved,
            events.AllocationRejected,
            events.DeallocationReserved,
            events.DeallocationRejected,
        )
    }
)

_FINISHED: Final[Mapping[tuple[Kind, Status], type[AllocationEvent]]] = MappingProxyType(
    {
        (event.kind, event.status): event
        for event in (
            events.AllocationCleared,
            events.AllocationReleased,
            events.DeallocationCleared,
            events.DeallocationReleased,
        )
    }
)


def evolve(state: Allocation | None, event: AllocationEvent) -> Allocation:
    """The allocation after `event`. Events come from `decide`, or from the topic that it filled."""
    if isinstance(event, Opened):
        return _open(state, event)
    assert state is not None, "only an opening event starts a history"  # noqa: S101
    cause = event.cause if isinstance(event, events.Released) else None
    return state._replace(status=event.status, version=event.version, updated_at=event.occurred_at, release_cause=cause)


def _open(state: Allocation | None, event: Opened) -> Allocation:
    return Allocation(
        allocation_id=event.allocation_id,
        kind=event.kind,
        status=event.status,
        version=event.version,
        amount=event.amount,
        client_id=event.client_id,
        connection_id=event.connection_id,
        partners_connection_id=event.partners_connection_id,
        partner_allocation_id=event.partner_allocation_id,
        edition=event.edition,
        created_at=state.created_at if state else event.occurred_at,
        updated_at=event.occurred_at,
        extras=_extras(event),
        rejection_reason=event.rejection_reason if isinstance(event, events.Rejected) else None,
        policy_result=event.policy_result,
        decided_by=event.command_id,
        reissued_at=event.occurred_at if state else None,
    )
