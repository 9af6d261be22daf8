"""The report for programs."""

import json

from bitgo.conformance.reports import facts
from bitgo.conformance.run import Report


def render(report: Report) -> str:
    return json.dumps(facts.report(report), indent=2, ensure_ascii=False) + "\n"
