"""What the contract says of one command, written from docs/contract.md alone: nothing of the product is imported here.

Times are whole microseconds. The settings are the contract's defaults: a finished allocation stays finished, a
deallocation may be issued again.
"""

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

REISSUED: Final = "deallocation"
DONE: Final = {"clear": "cleared", "release": "released"}
GONE: Final = "tombstone"


class Order(NamedTuple):
    """A command as it stands in the log. `content` is what a repeat must match; empty for clear and release."""

    kind: str
    verb: str
    content: tuple[str, ...]
    received_at: int
    deadline: int
    recorded_at: int


@dataclass(frozen=True)
class State:
    kind: str
    status: str
    version: int = 0
    content: tuple[str, ...] = ()
    changed_at: int = 0
    reissued_at: int | None = None
    rejection: str | None = None


class Step(NamedTuple):
    """The state that a command leaves, what became of the command, and the refusal if it was one."""

    after: State | None
    outcome: str
    refusal: str | None = None


def step(now: State | None, order: Order, rejection: str | None) -> Step:
    """`rejection` is what policy would say; it counts where policy decides."""
    if order.recorded_at > order.deadline:
        return Step(now, "refused", "expired")
    return _reserve(now, order, rejection) if order.verb == "reserve" else _finish(now, order)


def _reserve(now: State | None, order: Order, rejection: str | None) -> Step:  # noqa: PLR0911 - one for each row
    if now is None:
        return _decided(None, order, rejection)
    if now.kind != order.kind:
        return Step(now, "refused", "id_in_use")
    if now.status == GONE:
        return Step(now, "refused", "already_released")
    if now.content != order.content:
        return Step(now, "refused", "different_content")
    if now.status in ("reserved", "rejected") or (now.status == "cleared" and now.kind == REISSUED):
        return Step(now, "repeated")
    if now.status == "released" and now.kind == REISSUED and order.received_at > now.changed_at:
        return _decided(now, order, rejection)
    return Step(now, "refused", f"already_{now.status}")


def _decided(now: State | None, order: Order, rejection: str | None) -> Step:
    status = "rejected" if rejection else "reserved"
    if now is None:
        return Step(State(order.kind, status, 1, order.content, order.recorded_at, None, rejection), "applied")
    at = max(now.changed_at, order.recorded_at)
    changed = replace(now, status=status, version=now.version + 1, changed_at=at, reissued_at=at, rejection=rejection)
    return Step(changed, "applied")


def _finish(now: State | None, order: Order) -> Step:
    if now is None:
        left = State(order.kind, GONE) if order.verb == "release" else None
        return Step(left, "refused", "not_found")
    if now.status == GONE or now.kind != order.kind:
        return Step(now, "refused", "not_found")
    if now.reissued_at is not None and order.received_at < now.reissued_at:
        return Step(now, "refused", "already_released")
    done = DONE[order.verb]
    if now.status == "reserved":
        at = max(now.changed_at, order.recorded_at)
        return Step(replace(now, status=done, version=now.version + 1, changed_at=at), "applied")
    if now.status == done or (now.status, order.verb) == ("rejected", "release"):
        return Step(now, "repeated")
    return Step(now, "refused", f"already_{now.status}")


class Answer(NamedTuple):
    """HTTP status, and `status` of a 200's body or `code` of a problem's; `version` and `rejection` of a 200."""

    status: int
    word: str
    version: int | None = None
    rejection: str | None = None


def answer_to(made: Step) -> Answer:
    if made.refusal is not None:
        statuses = {"not_found": 404, "expired": 503}
        return Answer(statuses.get(made.refusal, 409), "unavailable" if made.refusal == "expired" else made.refusal)
    assert made.after is not None, "only a refusal leaves nothing"
    return Answer(200, made.after.status, made.after.version, made.after.rejection)


def movement(kind: str, status: str, quantity: int) -> tuple[int, int] | None:
    """What a transition to `status` adds to available and to held; None when it does not look at the account."""
    return {
        ("allocation", "cleared"): (quantity, 0),
        ("deallocation", "reserved"): (-quantity, quantity),
        ("deallocation", "rejected"): (0, 0),
        ("deallocation", "cleared"): (0, -quantity),
        ("deallocation", "released"): (quantity, -quantity),
    }.get((kind, status))


BOOKS: Final = {
    ("allocation", "cleared"): ("custody", "available"),
    ("deallocation", "reserved"): ("available", "held"),
    ("deallocation", "cleared"): ("held", "custody"),
    ("deallocation", "released"): ("held", "available"),
}
"""Debit and credit of the ledger row that a transition makes."""
