"""The report for people: one file that needs nothing else, with what was sent, expected and received."""

from html import escape
from importlib.resources import files
from itertools import groupby
from string import Template
from typing import Any, Final

from bitgo.conformance.catalogue import GROUPS
from bitgo.conformance.reports import facts
from bitgo.conformance.run import Report, Result, Verdict

_PAGE: Final = Template((files(__package__) / "page.html").read_text())
_TITLES: Final = {group.name: group.title for group in GROUPS}


def render(report: Report) -> str:
    counts = {str(verdict): len(report.having(verdict)) for verdict in Verdict}
    facts_of_run = {"started": facts.report(report)["startedAt"], "took": f"{report.seconds:.1f} s"}
    hint = facts.hint(report)
    return _PAGE.substitute(
        partner=escape(report.terms.url),
        outcome="passed" if report.exit_status == 0 else "failed",
        headline=_headline(counts),
        hint=f'<p class="hint">{escape(hint)}</p>' if hint else "",
        failures=_failures(report),
        facts="".join(_fact(name, value) for name, value in (facts_of_run | facts.terms(report.terms)).items()),
        filters="".join(_filter(name, count) for name, count in counts.items()),
        groups="".join(
            _group(name, list(results)) for name, results in groupby(report.results, lambda result: result.check.group)
        ),
    )


def _headline(counts: dict[str, int]) -> str:
    passed, failed, skipped = counts["passed"], counts["failed"], counts["skipped"]
    words = f"{failed} of {passed + failed} checks failed" if failed else f"All {passed} checks passed"
    return words + (f"; {skipped} were skipped, each with a reason" if skipped else "")


def _failures(report: Report) -> str:
    """The way to each failure, where there are any."""
    links = "".join(
        f'<li><a href="#{each.check.id}"><code>{each.check.id}</code></a> {escape(each.check.title)}</li>'
        for each in report.having(Verdict.FAILED)
    )
    return f'<ul class="failures">{links}</ul>' if links else ""


def _fact(name: str, value: str) -> str:
    return f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"


def _filter(name: str, count: int) -> str:
    return f'<label><input type="checkbox" value="{name}" checked> {name} <b>{count}</b></label>'


def _group(name: str, results: list[Result]) -> str:
    failed = sum(result.verdict is Verdict.FAILED for result in results)
    passed = sum(result.verdict is Verdict.PASSED for result in results)
    tally = f"{passed} passed" + (f", {failed} failed" if failed else "")
    checks = "".join(_check(result) for result in results)
    return f"<section><h2>{escape(_TITLES[name])} <small>{tally}</small></h2>{checks}</section>"


def _check(result: Result) -> str:
    of = facts.check(result)
    source = escape(of["source"])
    if of["sourceAddress"]:
        source = f'<a href="{escape(of["sourceAddress"])}">{source}</a>'
    reason = f'<p class="reason">{escape(of["reason"])}</p>' if of["reason"] else ""
    left_out = of["requests"] - len(of["steps"])
    more = f'<p class="more">{left_out} further requests like these are not shown.</p>' if left_out else ""
    is_open = " open" if result.verdict is Verdict.FAILED else ""
    return (
        f'<details id="{of["id"]}" class="check {of["verdict"]}"{is_open}>'
        f'<summary><span class="verdict">{of["verdict"]}</span>'
        f'<code>{of["id"]}</code><span class="title">{escape(of["title"])}</span></summary>'
        f'<div class="inside"><p class="source">Contract, section {escape(of["section"])}; {source}</p>{reason}'
        f"{''.join(_step(number, each) for number, each in enumerate(of['steps'], 1))}{more}</div></details>"
    )


def _step(number: int, step: dict[str, Any]) -> str:
    received = "nothing" if step["received"] is None else f"{step['received']} · {step['seconds'] * 1000:.0f} ms"
    body = f"<pre>{escape(step['body'])}</pre>" if step["body"] else ""
    miss = f'<dt>wrong</dt><dd class="miss">{escape(step["miss"])}</dd>' if step["miss"] else ""
    kind = "step bad" if step["miss"] else "step"
    return (
        f'<div class="{kind}"><dl><dt>{number}. sent</dt><dd><pre>{escape(step["curl"])}</pre></dd>'
        f"<dt>expected</dt><dd>{escape(step['expected'])}</dd>"
        f"<dt>received</dt><dd>{escape(received)}{body}</dd>{miss}</dl></div>"
    )
