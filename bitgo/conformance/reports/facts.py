"""What every form of the report shows of a run, as plain values."""

from collections.abc import Mapping
from typing import Any, Final

from bitgo.conformance.curl import curl
from bitgo.conformance.probe import Step
from bitgo.conformance.run import Report, Result, Verdict
from bitgo.conformance.terms import Terms
from schemas.fields import utc_milliseconds

BODY_MAX_CHARACTERS: Final = 4000
STEPS_SHOWN: Final = 12
"""A race sends dozens of requests that are alike; of so many, the first and the last are shown."""


def terms(of: Terms) -> dict[str, str]:
    """How the partner was checked, without the key."""
    shown: Mapping[str, Any] = {
        "partner": of.url + of.base_path,
        "edition": of.edition,
        "allocations after final": of.allocations_after_final,
        "deallocations after final": of.deallocations_after_final,
        "rejected as": of.rejected_as,
        "amount": f"{of.amount.quantity} {of.amount.currency}",
        "rejected amount": f"{of.rejects.quantity} {of.rejects.currency}" if of.rejects else "not given",
        "account": "one for all checks" if of.account else "a new one for each check",
        "enterprise": of.enterprise_id or "not given",
        "unpublished": "checked too" if of.unpublished else "left out",
        "answers within": f"{of.answer_within_seconds:g} s",
    }
    return {name: str(value) for name, value in shown.items()}


def step(of: Step) -> dict[str, Any]:
    answer = of.answer
    return {
        "curl": curl(of.request),
        "expected": of.expected,
        "received": None if answer is None else f"{answer.status} {_content_type(answer.headers)}".strip(),
        "body": None if answer is None else _cut(answer.text),
        "seconds": None if answer is None else round(answer.seconds, 4),
        "miss": of.miss,
    }


def _content_type(headers: Mapping[str, str]) -> str:
    return headers.get("Content-Type", "").encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _cut(text: str) -> str:
    more = len(text) - BODY_MAX_CHARACTERS
    return text if more <= 0 else f"{text[:BODY_MAX_CHARACTERS]}… ({more} more characters)"


def shown_steps(result: Result) -> list[Step]:
    steps = list(result.steps)
    if len(steps) <= STEPS_SHOWN:
        return steps
    kept = {*range(STEPS_SHOWN // 2), *range(len(steps) - STEPS_SHOWN // 2, len(steps))}
    return [each for number, each in enumerate(steps) if number in kept or each.miss]


def check(of: Result) -> dict[str, Any]:
    return {
        "id": of.check.id,
        "group": of.check.group,
        "title": of.check.title,
        "section": of.check.section,
        "source": of.check.source.name,
        "sourceAddress": of.check.source.address,
        "verdict": str(of.verdict),
        "reason": of.reason,
        "seconds": round(of.seconds, 4),
        "requests": len(of.steps),
        "steps": [step(each) for each in shown_steps(of)],
    }


def report(of: Report) -> dict[str, Any]:
    return {
        "startedAt": utc_milliseconds(of.started),
        "seconds": round(of.seconds, 3),
        "reachable": of.reachable,
        "terms": terms(of.terms),
        "counts": {str(verdict): len(of.having(verdict)) for verdict in Verdict},
        "checks": [check(each) for each in of.results],
    }


def hint(of: Report) -> str | None:
    """One cause for many failures, where there is one."""
    failed = of.having(Verdict.FAILED)
    last = [each.steps[-1].answer for each in failed if each.steps]
    if not of.reachable:
        return "The partner could not be reached any more at the end: what failed may have failed for that."
    if len(failed) > 10 and sum(each is not None and each.status == 401 for each in last) > len(failed) / 2:  # noqa: PLR2004
        return "Most failures are a 401: does the partner have the public half of this key, and is its clock right?"
    rejections = sum(each is not None and each.field("status") == "rejected" for each in last)
    if len(failed) > 10 and rejections > len(failed) / 2:  # noqa: PLR2004
        return (
            "Most failures are rejected reserves: choose what the partner accepts with --amount, or with --account a "
            "connection that it knows."
        )
    return None
