"""One slice of load on one subject, and rounds of slices in which the subjects take turns.

Machines drift: only figures from the same rounds are compared. The first round is not counted; it warms everything up
and finds out how many pairs make a slice of the wanted length.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.errors import BenchError
from bench.figures import Spread, percentile, spread
from bench.procfs import Pids, busy_seconds, cpu_seconds, difference
from bench.worker import Worker

WARM_UP_PAIRS_PER_CLIENT = 12


@dataclass(frozen=True, slots=True)
class Sample:
    """Latencies in milliseconds, CPU in milliseconds per command, of which a pair has two.

    `others_cores` is how much of the machine somebody else used meanwhile: it should be next to nothing.
    """

    pairs: int
    seconds: float
    pairs_per_second: float
    reserve_p50: float
    reserve_p99: float
    clear_p50: float
    clear_p99: float
    cpu: dict[str, float]
    others_cores: float = 0.0
    reserve_max: float = 0.0
    reserve_p999: float = 0.0
    wrong: dict[str, int] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        return {name: _rounded(value) for name, value in asdict(self).items()}


def figure(samples: Sequence[Sample], name: str) -> Spread:
    """One figure of all rounds."""
    return spread([getattr(each, name) for each in samples])


@dataclass
class Subject:
    """What is measured: who sends the load, and whose CPU counts. `extra` goes into each of its jobs.

    `beside` are the processes of this bench that should have nothing to do meanwhile.
    """

    name: str
    worker: Worker
    pids: Pids
    beside: list[int] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    rates: dict[int, float] = field(default_factory=dict)

    def all_pids(self) -> list[int]:
        return [self.worker.pid, *(pid for pids in self.pids.values() for pid in pids)]

    def pairs(self, clients: int, seconds: float) -> int:
        if clients not in self.rates:
            return clients * WARM_UP_PAIRS_PER_CLIENT
        return max(clients * 5, round(self.rates[clients] * seconds))

    async def slice(self, job: dict[str, Any]) -> Sample:
        """Raises BenchError when an answer of a closed loop was not the expected one."""
        await self.worker.prepare(job | self.extra)
        groups = {**self.pids, "client": [self.worker.pid], "beside": self.beside}
        before, busy = cpu_seconds(groups), busy_seconds()
        timings = await self.worker.run()
        cpu, busy = difference(cpu_seconds(groups), before), busy_seconds() - busy
        others = busy - sum(cpu.values())
        del cpu["beside"]
        if "clients" in job and timings["wrong"]:
            raise BenchError(f"{self.name} gave answers that do not count, by status: {timings['wrong']}")
        return _sample(job["pairs"], timings, cpu, others)


Samples = dict[str, dict[int, list[Sample]]]
"""By subject and number of clients, one for each round."""


def document(found: Samples) -> dict[str, Any]:
    return {
        name: {str(level): [each.document() for each in samples] for level, samples in levels.items()}
        for name, levels in found.items()
    }


def load(document: dict[str, Any]) -> Samples:
    return {
        name: {int(level): [Sample(**each) for each in samples] for level, samples in levels.items()}
        for name, levels in document.items()
    }


async def rounds(
    subjects: Sequence[Subject], levels: Sequence[int], count: int, seconds: float, done: Callable[[str], None]
) -> Samples:
    """Closed loops: every subject at every level in every round, in turns that change direction."""
    found: Samples = {subject.name: {level: [] for level in levels} for subject in subjects}
    for number in range(count + 1):
        for level in levels:
            for subject in subjects if number % 2 else reversed(subjects):
                job = {"clients": level, "pairs": subject.pairs(level, seconds)}
                sample = await subject.slice(job)
                subject.rates[level] = sample.pairs_per_second
                if number:
                    found[subject.name][level].append(sample)
                done(f"{subject.name}, {level} clients: {sample.pairs_per_second:.0f} pairs/s")
    return found


def _sample(pairs: int, timings: dict[str, Any], cpu: dict[str, float], others: float) -> Sample:
    reserve, clear, seconds = timings["reserve"], timings["clear"], timings["seconds"]
    return Sample(
        pairs=pairs,
        seconds=seconds,
        pairs_per_second=pairs / seconds,
        reserve_p50=percentile(reserve, 0.5),
        reserve_p99=percentile(reserve, 0.99),
        clear_p50=percentile(clear, 0.5),
        clear_p99=percentile(clear, 0.99),
        cpu={name: value * 1000 / (2 * pairs) for name, value in cpu.items()},
        others_cores=max(0.0, others) / seconds,
        reserve_max=max(reserve),
        reserve_p999=percentile(reserve, 0.999),
        wrong=timings["wrong"],
    )


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return round(value, 4) if isinstance(value, float) else value
