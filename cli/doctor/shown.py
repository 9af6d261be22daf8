"""Findings as a table for people, or as JSON for programs."""

import json
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from cli.doctor.finding import Verdict
from cli.doctor.production import Row

WIDTH_MAX: Final = 140
CHECK_WIDTH: Final = 24


def is_failing(rows: Sequence[Row]) -> bool:
    return any(row.finding.verdict is Verdict.FAIL for row in rows)


def as_json(rows: Sequence[Row]) -> str:
    findings = [
        {
            "processes": list(row.processes),
            "check": row.finding.check,
            "verdict": row.finding.verdict,
            "found": row.finding.found,
            "remedy": row.finding.remedy,
        }
        for row in rows
    ]
    return json.dumps({"failing": is_failing(rows), "findings": findings}, indent=2, ensure_ascii=False)


def as_table(rows: Sequence[Row]) -> str:
    width = min(WIDTH_MAX, shutil.get_terminal_size((WIDTH_MAX, 24)).columns)
    processes = max(len("process"), *(len(_names(row)) for row in rows))
    lines = [f"{'':4}  {'process':{processes}}  {'check':{CHECK_WIDTH}}  found, and what to do"]
    for row in rows:
        lines += _lines(row, processes, width)
    count = {verdict: sum(row.finding.verdict is verdict for row in rows) for verdict in Verdict}
    return "\n".join([*lines, "", ", ".join(f"{number} {verdict}" for verdict, number in count.items())])


def _lines(row: Row, processes: int, width: int) -> Iterator[str]:
    head = f"{row.finding.verdict:4}  {_names(row):{processes}}  {row.finding.check:{CHECK_WIDTH}}  "
    room = max(30, width - len(head))
    for number, line in enumerate(textwrap.wrap(row.finding.found, room) or [""]):
        yield (head if number == 0 else " " * len(head)) + line
    for number, line in enumerate(textwrap.wrap(row.finding.remedy, room - 2)):
        yield " " * len(head) + ("→ " if number == 0 else "  ") + line


def _names(row: Row) -> str:
    return ", ".join(row.processes)
