"""What the checker has to say: verdicts, each with how many it found and some examples."""

from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

EXAMPLES: Final = 20


class Verdict(StrEnum):
    LOST = "lost"  # acknowledged, and not in the log, the journal or the tables
    TWICE = "twice"  # one call, and two effects
    CONTRADICTION = "contradictions"  # an answer that the log's order does not explain
    GHOST = "ghosts"  # an id that was acknowledged and does not exist, or a command that nobody gave
    BALANCE = "balances"  # a balance that is not the sum of its ledger, or not what the decisions make it
    NEGATIVE = "negative"  # a balance below zero
    EVENT = "events"  # an event that is missing, doubled, out of order, or with a gap before it
    DEAD_LETTER = "dead letters"  # one without a foreign record, or a foreign record without its one
    TOKEN = "tokens"  # a token that counted twice, or a fresh one that did not count
    LATE = "late"  # answers came back later than promised
    VERIFY = "verify"  # `allocations verify` found a difference, or a process gave up


@dataclass(frozen=True)
class Finding:
    verdict: Verdict
    subject: str
    """The id of an allocation, or what else it is about."""
    words: str


@dataclass
class Findings:
    """Counted once for each subject, so that one fault does not count as often as it is seen."""

    subjects: dict[Verdict, set[str]] = field(default_factory=lambda: defaultdict(set))
    examples: list[Finding] = field(default_factory=list)

    def add(self, verdict: Verdict, subject: str, words: str) -> None:
        if subject not in self.subjects[verdict] and len(self.subjects[verdict]) < EXAMPLES:
            self.examples.append(Finding(verdict, subject, words))
        self.subjects[verdict].add(subject)

    def count(self, verdict: Verdict) -> int:
        return len(self.subjects.get(verdict, ()))

    @property
    def is_clean(self) -> bool:
        return not any(self.subjects.values())

    def line(self) -> str:
        return ", ".join(f"{verdict} {self.count(verdict)}" for verdict in Verdict)
