"""What a check found, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """`check` names what was looked at; `remedy` is a sentence for an operator, empty when all is well."""

    check: str
    verdict: Verdict
    found: str
    remedy: str = ""


def ok(check: str, found: str) -> Finding:
    return Finding(check, Verdict.OK, found)


def warn(check: str, found: str, remedy: str) -> Finding:
    """It works, and would not for long, or not when something breaks; or it can not be looked at."""
    return Finding(check, Verdict.WARN, found, remedy)


def fail(check: str, found: str, remedy: str) -> Finding:
    """Nothing works, or what was acknowledged may be lost."""
    return Finding(check, Verdict.FAIL, found, remedy)
