"""Afterwards: what callers saw, whether the log explains every answer, and what the newer tree's `verify` says."""

from pathlib import Path
from typing import Final

from tests.checker import show
from tests.checker.check import check
from tests.checker.findings import Findings, Verdict
from tests.checker.store import Store
from tests.faults.run.afterwards import barked, caught_up, loaded
from tests.faults.run.stories import LIMIT, LIMITED
from tests.rolling.trees import Tree
from tests.rolling.verbs import said
from tests.support.system import System

ERRORS: Final = """
    SELECT coalesce(word, CAST(status AS text), 'no answer'), count(*) FROM call
    WHERE status IS NULL OR status >= 500 GROUP BY 1 ORDER BY 2 DESC
"""
SLOWEST: Final = 'SELECT max("end" - start) FROM call WHERE "end" IS NOT NULL'


class Judgement:
    """`errors`: how many calls got a 5xx or no answer, by its word."""

    def __init__(self, store: Store, findings: Findings) -> None:
        self.findings = findings
        self.errors = {str(word): int(count) for word, count in store.rows(ERRORS)}
        self.calls, self.commands, self.events = (store.count(name) for name in ("call", "record", "event"))
        self.slowest_seconds = float(next(iter(store.rows(SLOWEST)))[0] or 0)
        self.details = list(show.lines(findings, store))

    @property
    def is_clean(self) -> bool:
        return self.findings.is_clean and not self.errors

    def line(self) -> str:
        return (
            f"{self.calls:,} calls, {self.commands:,} commands in the log, {self.events:,} events; errors seen by "
            f"callers: {sum(self.errors.values())} {self.errors or ''}; slowest answer {self.slowest_seconds:.2f} s; "
            f"{self.findings.line()}"
        )


async def judge(system: System, history: Path, newest: Tree) -> Judgement:
    """`newest`: of the trees that wrote anything."""
    servers = (system.kafka, system.database_url, system.topics, system.partitions)
    await caught_up(*servers)
    findings = Findings()
    store = Store(system.folder / "check.sqlite")
    try:
        await loaded(store, history, *servers)
        status, words = await said(system, newest, "verify")
        if status != 0:
            findings.add(Verdict.VERIFY, "allocations verify", f"status {status}: {words}")
        barked(system.folder / "logs", findings)
        check(store, findings, limits={LIMITED: LIMIT})
        return Judgement(store, findings)
    finally:
        store.close()
