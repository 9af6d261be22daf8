"""What a run prints at its end: one table, with a line of totals above it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from tests.checker.findings import Findings, Verdict
from tests.faults.run.director import Injected


@dataclass(frozen=True)
class Totals:
    seed: int
    minutes: float
    clients: int
    calls: int
    commands: int
    events: int
    answers: Mapping[str, int]


def sentence(totals: Totals, injected: Sequence[Injected], findings: Findings) -> str:
    """The whole in one sentence, for the README."""
    found = ", ".join(f"{verdict} {findings.count(verdict)}" for verdict in Verdict)
    faults = f"{len(injected)} faults in {totals.minutes:.0f} minutes"
    return f"The last full run: {totals.commands:,} commands, {faults}; {found}."


def table(
    totals: Totals, injected: Sequence[Injected], findings: Findings, skipped: Mapping[str, str]
) -> Iterator[str]:
    yield (
        f"Seed {totals.seed}, {totals.minutes:.1f} minutes, {totals.clients} clients: {totals.calls:,} calls, "
        f"{totals.commands:,} commands in the log, {totals.events:,} events, {len(injected)} faults. "
        + ", ".join(f"{count:,} × {word}" for word, count in totals.answers.items())
        + "."
    )
    yield ""
    yield " | ".join(["", *Verdict, ""]).strip()
    yield "|" + "---|" * len(Verdict)
    yield " | ".join(["", *(str(findings.count(verdict)) for verdict in Verdict), ""]).strip()
    yield ""
    yield "| what broke | times | answers again after (p50) | longest | target |"
    yield "|---|---|---|---|---|"
    for name, those in _by_name(injected).items():
        seconds = [each.seconds for each in those]
        target = f"{those[0].target_seconds:.0f} s" if name != "two at once" else "the sum of both"
        yield f"| {name} | {len(those)} | {median(seconds):.2f} s | {max(seconds):.2f} s | {target} |"
    for name, why in skipped.items():
        yield f"| {name} | 0 | not possible: {why} | | |"


def _by_name(injected: Sequence[Injected]) -> dict[str, list[Injected]]:
    single = sorted({each.name for each in injected if len(each.faults) == 1})
    found = {name: [each for each in injected if each.name == name] for name in single}
    pairs = [each for each in injected if len(each.faults) > 1]
    return found | ({"two at once": pairs} if pairs else {})
