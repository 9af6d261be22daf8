"""The report for CI servers: JUnit's XML, a suite for each group."""

import re
from collections.abc import Sequence
from itertools import groupby
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from bitgo.conformance.reports import facts
from bitgo.conformance.run import Report, Result, Verdict

_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(report: Report) -> str:
    root = Element("testsuites", {"name": "conformance", "time": f"{report.seconds:.3f}"} | _counts(report.results))
    for group, results in groupby(report.results, lambda result: result.check.group):
        _suite(root, group, list(results))
    indent(root)
    return tostring(root, "unicode", xml_declaration=True) + "\n"


def _suite(root: Element, group: str, results: list[Result]) -> None:
    seconds = sum(result.seconds for result in results)
    own = {"name": group, "time": f"{seconds:.3f}", "errors": "0"}
    suite = SubElement(root, "testsuite", own | _counts(results))
    for result in results:
        name = _text(f"{result.check.id} {result.check.title}")
        case = SubElement(suite, "testcase", classname=group, name=name, time=f"{result.seconds:.3f}")
        if result.verdict is Verdict.SKIPPED:
            SubElement(case, "skipped", message=_text(result.reason or ""))
        elif result.verdict is Verdict.FAILED:
            failure = SubElement(case, "failure", message=_text(result.reason or ""), type="mismatch")
            failure.text = _text(_details(result))


def _counts(results: Sequence[Result]) -> dict[str, str]:
    each = [result.verdict for result in results]
    return {
        "tests": str(len(each)),
        "failures": str(each.count(Verdict.FAILED)),
        "skipped": str(each.count(Verdict.SKIPPED)),
    }


def _details(result: Result) -> str:
    lines = [f"contract, section {result.check.section}; {result.check.source.name}"]
    for step in map(facts.step, facts.shown_steps(result)):
        lines += [
            "",
            step["curl"],
            f"expected: {step['expected']}",
            f"received: {step['received']}",
            step["body"] or "",
        ]
        lines += [f"wrong: {step['miss']}"] if step["miss"] else []
    return "\n".join(lines)


def _text(value: str) -> str:
    return _NOT_XML.sub("\ufffd", value)
