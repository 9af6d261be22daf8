"""A run from its first process to its table."""

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from local.report import Report, reporter
from schemas.topics import Topics
from tests.checker import show
from tests.checker.check import check
from tests.checker.findings import Findings, Verdict
from tests.checker.store import Store
from tests.faults.run.administrator import DEFAULTS, reset
from tests.faults.run.afterwards import ANSWERS, barked, caught_up, given_up, loaded, verified
from tests.faults.run.director import Director
from tests.faults.run.fault import Fault
from tests.faults.run.history import History
from tests.faults.run.record import record
from tests.faults.run.stage import Stage, stage
from tests.faults.run.stories import LIMIT, LIMITED
from tests.faults.run.table import Totals, sentence, table

PARTITIONS: Final = 8


@dataclass(frozen=True)
class Options:
    """`slack` is a factor on the targets; `keep` a folder for what is worth reading when something was found."""

    folder: Path
    seed: int
    minutes: float
    faults: Sequence[Fault]
    clients: int
    slack: float
    record: bool
    keep: Path | None
    brokers: int = 1


async def play(options: Options) -> bool:
    """Run, check, print; gives whether nothing was found."""
    try:
        return await _play(options)
    finally:
        if options.keep is not None:
            _keep(options.folder, options.keep)


async def _play(options: Options) -> bool:
    report, folder = reporter(), options.folder
    report(f"seed {options.seed}")
    store = Store(folder / "check.sqlite")
    async with stage(folder, report, PARTITIONS, options.brokers) as on:
        skipped = _skipped(options.faults, on, report)
        findings = on.findings
        director = await _traffic(options, on, report, [each for each in options.faults if each.name not in skipped])
        await _load(store, folder, on, report)
        report(await verified(on, findings))
        given_up(folder / "up.log", findings)
        barked(on.disk.folder / "logs", findings)
    check(store, findings, limits={LIMITED: LIMIT}, wrong_clocks=director.wrong_clocks)
    _judge_silence(director, options.slack, findings)
    _print(options, store, director, findings, skipped)
    store.close()
    return findings.is_clean


def _skipped(faults: Sequence[Fault], on: Stage, report: Report) -> Mapping[str, str]:
    skipped = {fault.name: why for fault in faults if (why := fault.why_not(on))}
    for name, why in skipped.items():
        report(f"{name} is left out: {why}")
    return skipped


async def _traffic(options: Options, on: Stage, report: Report, faults: Sequence[Fault]) -> Director:
    with History(options.folder / "history.jsonl", PARTITIONS) as history:
        pairs = options.brokers == 1  # the disks of two brokers of three are more than there may be lost
        director = Director(on, history, Random(options.seed), report, options.clients, pairs)
        await director.play(faults, options.minutes * 60)
        for call in on.foreign_calls:
            history.write(call)
    await reset(on.postgres, *DEFAULTS)
    return director


async def _load(store: Store, folder: Path, on: Stage, report: Report) -> None:
    servers = (on.kafka.bootstrap, on.postgres.url, Topics(), PARTITIONS)
    report("waiting until the log is applied and the events are published")
    await caught_up(*servers)
    report("loading the history, the topics and the tables")
    await loaded(store, folder / "history.jsonl", *servers)
    report(f"checking {store.count('call')} calls")


def _judge_silence(director: Director, slack: float, findings: Findings) -> None:
    for each in director.injected:
        if each.seconds > each.target_seconds * slack:
            words = f"answers again after {each.seconds:.2f} s, and {each.target_seconds:.0f} s were promised"
            findings.add(Verdict.LATE, f"{each.name} at {each.began:.0f} s", words)


def _print(options: Options, store: Store, director: Director, findings: Findings, skipped: Mapping[str, str]) -> None:
    answers = {str(word): int(count) for word, count in store.rows(ANSWERS)}
    calls, commands, events = (store.count(name) for name in ("call", "record", "event"))
    totals = Totals(options.seed, options.minutes, options.clients, calls, commands, events, answers)
    lines = list(table(totals, director.injected, findings, skipped))
    print("\n".join(["", *lines]))
    if options.record:
        record(lines, sentence(totals, director.injected, findings), options.brokers)
    if not findings.is_clean:
        print("\n".join(["", f"seed {options.seed}", *show.lines(findings, store)]))


def _keep(folder: Path, keep: Path) -> None:
    keep.mkdir(parents=True, exist_ok=True)
    (keep / "at").write_text(time.strftime("%Y-%m-%d %H:%M:%S"))
    for file in (folder / "history.jsonl", folder / "check.sqlite", folder / "up.log", folder / "data" / "logs"):
        if file.is_dir():
            shutil.copytree(file, keep / file.name, dirs_exist_ok=True)
        elif file.exists():
            shutil.copy(file, keep)
