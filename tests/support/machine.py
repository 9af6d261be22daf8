"""Commands on one id, and the states that they lead to, for tests of the machine."""

from datetime import UTC, datetime, timedelta

from processor.domain.machine import (
    Allocation,
    Applied,
    Verdict,
    decide,
    evolve,
)
from schemas.commands import FINISHES, RESERVES, Amount, Command, Edition, Reserve
from schemas.words import AfterFinal, Kind, Rejection, Status, Verb

ID = "0b0e4a5e-2c56-4a3c-9f2e-6a7d3f8b1c22"
NOON = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PASSES = Verdict()
FAILS = Verdict(Rejection.INSUFFICIENT_BALANCE, evaluated=True)
CONTENT = {
    "amount": Amount(currency="BTC", quantity="5"),
    "client_id": "11111111-1111-4111-8111-111111111111",
    "connection_id": "22222222-2222-4222-8222-222222222222",
    "partners_connection_id": "account-7",
}


def reserve(
    kind: Kind, after_final: AfterFinal = AfterFinal.CONFLICT, at: datetime = NOON, **changes: object
) -> Reserve:
    fields = {**CONTENT, "edition": Edition(), **changes}
    return RESERVES[kind](
        command_id="33333333-3333-4333-8333-333333333333",
        allocation_id=ID,
        received_at=at,
        deadline=at + 15 * SECOND,
        after_final=after_final,
        **fields,  # type: ignore[arg-type]
    )


def finish(kind: Kind, verb: Verb, at: datetime = NOON) -> Command:
    return FINISHES[kind, verb](
        command_id="44444444-4444-4444-8444-444444444444", allocation_id=ID, received_at=at, deadline=at + 15 * SECOND
    )


def command(kind: Kind, verb: Verb, at: datetime = NOON) -> Command:
    return reserve(kind, at=at) if verb is Verb.RESERVE else finish(kind, verb, at)


def allocation(kind: Kind, status: Status | None) -> Allocation | None:
    """An allocation that came to its status the only way there is: by commands, before noon."""
    if status is None:
        return None
    verdict = FAILS if status is Status.REJECTED else PASSES
    state = applied(None, reserve(kind, at=NOON - 3 * SECOND), verdict, NOON - 2 * SECOND)
    if status in (Status.CLEARED, Status.RELEASED):
        verb = Verb.CLEAR if status is Status.CLEARED else Verb.RELEASE
        state = applied(state, finish(kind, verb, NOON - 2 * SECOND), PASSES, NOON - SECOND)
    assert state.status == status
    return state


def applied(state: Allocation | None, asked: Command, verdict: Verdict = PASSES, at: datetime = NOON) -> Allocation:
    decision = decide(state, asked, verdict, at)
    assert isinstance(decision, Applied), decision
    return evolve(state, decision.event)
