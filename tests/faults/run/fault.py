"""What a fault is, and how soon answers must be back."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from processor.kafka.faust_app import SESSION_TIMEOUT_SECONDS
from tests.faults.run.stage import Stage

INGRESS: Final = 2.0
RESTART: Final = 3.0
TAKEOVER: Final = SESSION_TIMEOUT_SECONDS + 3.0
POSTGRES: Final = 3.0
BROKER: Final = 8.0
ONE_OF_THREE: Final = 12.0
"""Its session of four seconds ends, after the election of another controller if it was that."""
FOREIGN: Final = 3.0
"""Nothing was taken away: answers go on, a moment apart as ever."""

Inject = Callable[[Stage, Random], Awaitable[float]]
"""Gives the time from which answers are missed."""


@dataclass(frozen=True)
class Fault:
    name: str
    target_seconds: float
    inject: Inject
    needs: str = ""
    """`clock` or `disk`, when the machine must offer one."""

    def why_not(self, stage: Stage) -> str | None:
        return {"clock": stage.clock.why_not, "disk": stage.disk.why_not}.get(self.needs)
