"""What a person sees of a conformance run: a table of the groups, then each failure with what was sent and received."""

from collections.abc import Sequence
from itertools import groupby
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
BODY_SHOWN: Final = 600
_COLOURS: Final = {Verdict.PASSED: "green", Verdict.FAILED: "bold red", Verdict.SKIPPED: "dim"}
_TITLES: Final = {group.name: group.title for group in GROUPS}


def print_list(checks: Sequence[Check]) -> None:
    table = Table("check", "what is checked", "section", "document", box=None, pad_edge=False)
    for check in checks:
        table.add_row(check.id, Text(check.title), check.section, check.source.name)
    _console().print(table)


def print_report(report: Report, *, every: bool) -> None:
    console = _console()
    if every:
        console.print(_checks(report.results))
        console.print()
    console.print(_groups(report))
    _print_skipped(console, report.having(Verdict.SKIPPED))
    failed = report.having(Verdict.FAILED)
    for result in failed[:FAILURES_SHOWN]:
        _print_failure(console, result)
    if len(failed) > FAILURES_SHOWN:
        console.print(f"\n… and {len(failed) - FAILURES_SHOWN} more failures: --html FILE shows them all")
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
        console.print(Padding(Text(f"{named}: {reason}", "dim"), (0, 0, 0, 2)))


def _print_failure(console: Console, result: Result) -> None:
    console.print(Text(f"\n{result.check.id}  {result.check.title}", "bold red"))
    console.print(
        Padding(Text(f"contract, section {result.check.section}; {result.check.source.name}", "dim"), (0, 0, 0, 2))
    )
    shown = [step for step in result.steps if step.miss] or result.steps[-1:]
    for step in map(facts.step, shown[:3]):
        console.print(Padding(Text("sent      "), (0, 0, 0, 2)), end="")
        console.print(Text(step["curl"]), soft_wrap=True)
        received = "nothing" if step["received"] is None else f"{step['received']}  {step['body'][:BODY_SHOWN]}"
        for name, value in (("expected", step["expected"]), ("received", received), ("wrong", step["miss"])):
            console.print(Padding(Text(f"{name:9} {value}"), (0, 0, 0, 2)))
    if not shown or not any(step.miss for step in shown):
        console.print(Padding(Text(f"wrong     {result.reason}"), (0, 0, 0, 2)))
