"""What a run has seen so far: for the live table, and for the last line."""

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Final

LATENCIES_KEPT: Final = 20_000
DIFFERENCES_SHOWN: Final = 8
RATE_SECONDS: Final = 5.0


@dataclass
class Tally:
    scenario: str = ""
    orders: int = 0
    begun: int = 0
    ended: int = 0
    calls: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    """By verb and word."""
    faults: Counter[str] = field(default_factory=Counter)
    """What was done to the partner on purpose, and what came without an answer."""
    states: Counter[str] = field(default_factory=Counter)
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES_KEPT))
    last_differences: deque[str] = field(default_factory=lambda: deque(maxlen=DIFFERENCES_SHOWN))
    differences: int = 0
    started: float = field(default_factory=time.monotonic)
    _answered_at: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES_KEPT))

    def answered(self, what: str, seconds: float) -> None:
        self.answers[what] += 1
        self.latencies.append(seconds)
        self._answered_at.append(time.monotonic())

    def differs(self, what: str) -> None:
        self.differences += 1
        self.last_differences.append(what)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def calls_per_second(self) -> float:
        """Answers in the last seconds."""
        since = time.monotonic() - RATE_SECONDS
        while self._answered_at and self._answered_at[0] < since:
            self._answered_at.popleft()
        return len(self._answered_at) / max(0.1, min(RATE_SECONDS, self.seconds))

    def latency_ms(self, *at: float) -> list[float]:
        """Quantiles of the latencies that are kept."""
        ordered = sorted(self.latencies) or [0.0]
        return [ordered[min(len(ordered) - 1, int(len(ordered) * each))] * 1000 for each in at]
