"""In which order things break: from the seed alone, one at a time and in pairs."""

from collections.abc import Iterator, Sequence
from random import Random
from typing import Final

from tests.faults.run.fault import Fault

PAIRS_PER_ROUND: Final = 0.3


def schedule(faults: Sequence[Fault], random: Random, *, pairs: bool = True) -> Iterator[tuple[Fault, ...]]:
    """Rounds for ever: every fault once, then some pairs, unless two at once are more than is promised."""
    while True:
        yield from ((fault,) for fault in random.sample(faults, len(faults)))
        for _ in range(round(len(faults) * PAIRS_PER_ROUND) if pairs and len(faults) > 1 else 0):
            yield tuple(random.sample(faults, 2))
