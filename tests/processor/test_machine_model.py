"""The machine against a model of ten lines, through any sequence of commands."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from processor.domain.machine import Allocation, Applied, Refused, State, Tombstone, Verdict, decide, evolve
from schemas.commands import FINISHES, RESERVES, Amount, Command, Edition
from schemas.words import AfterFinal, Kind, Rejection, Verb

ID = "0b0e4a5e-2c56-4a3c-9f2e-6a7d3f8b1c22"
ZERO = "00000000-0000-4000-8000-000000000000"
START = datetime(2026, 11, 21, tzinfo=UTC)


def model(now: str, verb: str, *, passes: bool, reissue: bool) -> str:
    """What section 3 of the contract says, for one kind and one content. `gone` is the tombstone."""
    if verb == "reserve":
        if now == "nothing" or (now == "released" and reissue):
            return "reserved" if passes else "rejected"
        if now == "gone" or (now in ("cleared", "released") and not reissue):
            return "refused"
        return now
    if now in ("nothing", "gone"):
        return "gone" if (verb, now) != ("clear", "nothing") else "nothing"
    done = {"clear": "cleared", "release": "released"}[verb]
    return done if now == "reserved" else now if now == done or (now, verb) == ("rejected", "release") else "refused"


class Sequences(RuleBasedStateMachine):
    """Commands arrive in order, each received a second after the one before it was appended."""

    def __init__(self) -> None:
        super().__init__()
        self.state: State = None
        self.now = "nothing"
        self.version = 0
        self.time = START
        self.history: list[Any] = []

    def ask(self, command: Command, verdict: Verdict) -> bool:
        """Whether the machine refused, other than for not finding anything."""
        decision = decide(self.state, command, verdict, self.time)
        if isinstance(decision, Applied):
            assert not isinstance(self.state, Tombstone)
            self.state = evolve(self.state, decision.event)
            self.history.append(decision.event)
            self.version += 1
        elif isinstance(decision, Refused) and decision.leaves_tombstone:
            self.state = Tombstone(ID, command.kind, self.time)
        return isinstance(decision, Refused) and decision.reason != "not_found"

    @rule(verb=st.sampled_from(Verb), passes=st.booleans(), reissue=st.booleans())
    def command(self, verb: Verb, passes: bool, reissue: bool) -> None:  # noqa: FBT001
        self.time += timedelta(seconds=2)
        stamps: dict[str, Any] = {
            "command_id": ZERO,
            "allocation_id": ID,
            "received_at": self.time - timedelta(seconds=1),
            "deadline": self.time + timedelta(seconds=15),
        }
        asked = (
            RESERVES[Kind.DEALLOCATION](
                **stamps,
                amount=Amount(currency="BTC", quantity="5"),
                client_id=ZERO,
                connection_id=ZERO,
                partners_connection_id="account",
                edition=Edition(),
                after_final=AfterFinal.REISSUE if reissue else AfterFinal.CONFLICT,
            )
            if verb is Verb.RESERVE
            else FINISHES[Kind.DEALLOCATION, verb](**stamps)
        )
        expected = model(self.now, verb, passes=passes, reissue=reissue)
        verdict = Verdict(None if passes else Rejection.INSUFFICIENT_BALANCE, evaluated=True)
        assert self.ask(asked, verdict) == (expected == "refused")
        self.now = self.now if expected == "refused" else expected

    @invariant()
    def the_state_is_the_models(self) -> None:
        found = "nothing" if self.state is None else "gone" if isinstance(self.state, Tombstone) else self.state.status
        assert self.now == found

    @invariant()
    def the_version_counts_the_transitions(self) -> None:
        if isinstance(self.state, Allocation):
            assert self.version == self.state.version == len(self.history)

    @invariant()
    def the_history_folds_to_the_state(self) -> None:
        folded: Allocation | None = None
        for event in self.history:
            folded = evolve(folded, event)
        assert folded == (self.state if isinstance(self.state, Allocation) else None)


TestSequences = Sequences.TestCase
TestSequences.settings = settings(max_examples=300, stateful_step_count=30)
