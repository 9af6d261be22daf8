"""What a person sees of a conformance run: a table of the groups, then each failure with what was sent and received."""

import shlex
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bitgo.conformance.catalogue import GROUPS
from bitgo.conformance.check import Check
from bitgo.conformance.reports import facts
from bitgo.conformance.run import Report, Result, Verdict

FAILURES_SHOWN: Final = 20
STEPS_SHOWN: Final = 3
BODY_SHOWN: Final = 600
_COLOURS: Final = {Verdict.PASSED: "green", Verdict.FAILED: "bold red", Verdict.SKIPPED: "dim"}
_TITLES: Final = {group.name: group.title for group in GROUPS}


def print_list(checks: Sequence[Check]) -> None:
    table = Table("check", "what is checked", "section", "document", box=None, pad_edge=False)
    for check in checks:
        table.add_row(check.id, Text(check.title), check.section, check.source.name)
    _console().print(table)


def print_report(report: Report, key: Path, *, every: bool) -> None:
    console = _console()
    if every:
        console.print(_checks(report.results))
        console.print()
    console.print(_groups(report))
    _print_skipped(console, report.having(Verdict.SKIPPED))
    _print_failures(console, report.having(Verdict.FAILED), key)
    hint = facts.hint(report)
    if hint:
        console.print(Text(f"\n{hint}", "bold yellow"))
    counts = ", ".join(f"{len(report.having(verdict))} {verdict}" for verdict in Verdict)
    colour = "bold green" if report.exit_status == 0 else "bold red"
    console.print(Text(f"\n{report.terms.url}: {counts} in {report.seconds:.1f} s", colour))


def _console() -> Console:
    """As wide as the terminal; where there is none, wide enough that nothing is cut."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=160)


def _groups(report: Report) -> Table:
    table = Table("group", "subject", box=None, pad_edge=False)
    for verdict in Verdict:
        table.add_column(str(verdict), justify="right")
    for name, results in groupby(report.results, lambda result: result.check.group):
        verdicts = [result.verdict for result in results]
        counts = [Text(str(verdicts.count(each) or ""), _COLOURS[each]) for each in Verdict]
        table.add_row(name, _TITLES[name], *counts)
    return table


def _checks(results: Sequence[Result]) -> Table:
    table = Table("check", "verdict", "what is checked", "section", "seconds", box=None, pad_edge=False)
    for result in results:
        verdict = Text(str(result.verdict), _COLOURS[result.verdict])
        table.add_row(result.check.id, verdict, Text(result.check.title), result.check.section, f"{result.seconds:.2f}")
    return table


def _print_skipped(console: Console, skipped: Sequence[Result]) -> None:
    if not skipped:
        return
    console.print("\nskipped:")
    by_reason: dict[str, list[str]] = {}
    for result in skipped:
        by_reason.setdefault(result.reason or "", []).append(result.check.id)
    for reason, ids in by_reason.items():
        named = ", ".join(ids) if len(ids) <= 4 else f"{len(ids)} checks, {ids[0]} to {ids[-1]}"  # noqa: PLR2004
        console.print(_indented(f"{named}: {reason}", "dim"))


def _print_failures(console: Console, failed: Sequence[Result], key: Path) -> None:
    if failed:
        console.print(Text(f"\nfor the curl lines: export KEY={shlex.quote(str(key))}", "dim"), soft_wrap=True)
    for result in failed[:FAILURES_SHOWN]:
        _print_failure(console, result)
    if len(failed) > FAILURES_SHOWN:
        console.print(f"\n… and {len(failed) - FAILURES_SHOWN} more failures: --html FILE shows them all")


def _print_failure(console: Console, result: Result) -> None:
    console.print(Text(f"\n{result.check.id}  {result.check.title}", "bold red"))
    console.print(_indented(f"contract, section {result.check.section}; {result.check.source.name}", "dim"))
    missed = [step for step in result.steps if step.miss]
    for step in map(facts.step, missed[:STEPS_SHOWN]):
        console.print(_indented("sent"))
        console.print(Text(step["curl"]), soft_wrap=True)
        received = "nothing" if step["received"] is None else f"{step['received']}  {step['body'][:BODY_SHOWN]}"
        for name, value in (("expected", step["expected"]), ("received", received), ("wrong", step["miss"])):
            console.print(_indented(f"{name:9} {value}"))
    if not missed:
        console.print(_indented(f"wrong     {result.reason}"))


def _indented(text: str, style: str = "") -> Padding:
    return Padding(Text(text.rstrip(), style), (0, 0, 0, 2), expand=False)
