"""Every transition of an allocation, and nothing else.

Two rules. Everything that changes a status is in this file; this file knows no Kafka, no SQL, no clock.
A refusal changes nothing, and refusals are tried in the order in which they stand.

`decide` says what a command does to an allocation, as an event or a reason why not; `evolve` is the only way in which
an event changes an allocation. Both are total: whatever comes in, an outcome comes out (decision 4).
Contract, section 3, is the authority on the table.

An allocation has one decision to make: reserved or rejected. After that BitGo finishes it, by clear or by release,
once. That would be a table of four rows and no code around it. The code around it is there because messages are late:

Tombstones. BitGo's reserve may time out on its way and BitGo release the id, and then the release can arrive first.
If it left nothing behind, the late reserve would set an amount aside that nobody would ever clear or release. So the
release of an unknown id is refused (there is nothing to release) and leaves a tombstone, by which the late reserve is
refused too. A tombstone is not an allocation: it has version 0 and no event, every clear and release of it is
answered as if it were not there, and no read shows it. What is ugly: it is the one refusal that writes a row, hence
`leaves_tombstone`.

Expiry. A command that reached the log after its deadline changes nothing. Its caller was told long before that the
outcome was unknown, and may have acted on it since. The deadline is compared with the time at which the broker
appended the record, so a replay decides the same. It comes before everything else: an expired release leaves no
tombstone either. What is ugly: two machines' clocks meet here, the ingress's in the deadline and the broker's in the
log; the ingress is not ready while they differ by more than five seconds.

Re-issue. One edition of BitGo's documents gives a finished id an end, another one lets a reserve open a released id
again, and they differ by kind. So the ingress stamps its setting on each reserve, and the setting is part of the log.
Re-opening makes time matter: a reserve that was already on its way when the id was released, and a release meant for
the life before, must not count. Hence `received_at`, the ingress's clock, is compared with the times of the last
transition and of the re-issue: what was received before is refused. What is ugly: an ingress's clock decides here,
and equal times are decided against the re-issue, which BitGo then repeats.

Precedence. Which refusal wins is visible to BitGo, so it is fixed: expired, then the other kind's id, then the
tombstone, then other content, then the table. A tombstone comes before content because it has none to compare. An id
of the other kind is `id_in_use` for a reserve and `not_found` for everything else: BitGo's paths name the kind, and
telling more would confirm an id to a path that does not own it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from types import MappingProxyType
from typing import Final, Literal, NamedTuple
from uuid import NAMESPACE_URL, uuid5

from schemas import events
from schemas.commands import Amount, Command, Edition, Reserve
from schemas.events import Event, Opened
from schemas.words import AfterFinal, Kind, Outcome, Refusal, Rejection, Status, Verb

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
    rejection_reason: Rejection | None = None
    policy_result: Literal["approved", "rejected"] | None = None
    decided_by: str = ""
    """The command id of the reserve that policy decided last."""
    reissued_at: datetime | None = None


State = Allocation | Tombstone | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What policy says of a reserve. `evaluated` is false when no rule applied to it."""

    reason: Rejection | None = None
    evaluated: bool = False

    @property
    def result(self) -> Literal["approved", "rejected"] | None:
        if not self.evaluated:
            return None
        return "approved" if self.reason is None else "rejected"


@dataclass(frozen=True, slots=True)
class Applied:
    event: Event
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


def decide(state: State, command: Command, verdict: Verdict, recorded_at: datetime) -> Decision:
    """What `command`, appended to the log at `recorded_at`, does to `state`. `verdict` counts for reserves only."""
    if recorded_at > command.deadline:
        return Refused(Refusal.EXPIRED)
    if isinstance(command, Reserve):
        return _reserve(state, command, verdict, recorded_at)
    return _finish(state, command, recorded_at)


def _reserve(state: State, command: Reserve, verdict: Verdict, recorded_at: datetime) -> Decision:
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
        return Applied(_opened(state, command, verdict, recorded_at))
    return Refused(cell) if isinstance(cell, Refusal) else _REPEATED


def reserve_cell(status: Status | None, after_final: AfterFinal) -> Cell:
    """The cell that a reserve meets, under the setting that the ingress stamped on it."""
    if after_final is AfterFinal.REISSUE and status is not None and status in REISSUE:
        return REISSUE[status]
    return TABLE[status][Verb.RESERVE]


def _finish(state: State, command: Command, recorded_at: datetime) -> Decision:
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


def _opened(state: Allocation | None, command: Reserve, verdict: Verdict, recorded_at: datetime) -> Event:
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


def _finished(state: Allocation, command: Command, status: Status, recorded_at: datetime) -> Event:
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

_FINISHED: Final[Mapping[tuple[Kind, Status], type[Event]]] = MappingProxyType(
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


def evolve(state: Allocation | None, event: Event) -> Allocation:
    """The allocation after `event`. Events come from `decide`, or from the topic that it filled."""
    if isinstance(event, Opened):
        return _open(state, event)
    assert state is not None, "only an opening event starts a history"  # noqa: S101
    return state._replace(status=event.status, version=event.version, updated_at=event.occurred_at)


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
