"""`allocations policy try` without servers: what is said of a request, and what is said of mistakes."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import CliRunner, Result

from bitgo.client import reserve_body
from cli.main import main
from schemas.words import Kind

POLICY = "tests.support.policy:decide"
Try = Callable[..., Result]


@pytest.fixture
def attempt(tmp_path: Path) -> Iterator[Try]:
    """Tries a body; returns what came of it."""

    def call(body: Any, *options: str, **environment: str) -> Result:
        file = tmp_path / "request.json"
        file.write_text(body if isinstance(body, str) else json.dumps(body))
        arguments = ["policy", "try", "--request", str(file), *options]
        return CliRunner().invoke(main, arguments, env={"PROCESSOR_POSTGRES_URL": None, **environment})

    yield call
    structlog.reset_defaults()


def body(notes: str | None = None, kind: Kind = Kind.ALLOCATION) -> dict[str, Any]:
    return reserve_body(kind, 5, notes=notes)


def test_the_verdict_and_what_it_rests_on_are_said(attempt: Try) -> None:
    result = attempt(body("refuse"), "--policy", POLICY)
    assert "rejected: not_today\nfacts: none\nplug, version test 1: rejected, not_today" in result.output
    result = attempt(body("facts"), "--client-day-total", "3", PROCESSOR_POLICY=POLICY, **{LIMITS: '{"BTC": "9"}'})
    assert "rejected: xxx\nfacts: clientDayTotal 3" in result.output
    result = attempt(body(), "--client-day-total", "5", "--policy", POLICY, **{LIMITS: '{"BTC": "9"}'})
    assert "rejected: limit_exceeded" in result.output
    assert "plug: not asked" in result.output


LIMITS = "PROCESSOR_CLIENT_DAILY_LIMITS"


def test_a_deallocation_needs_a_balance(attempt: Try) -> None:
    back = body(kind=Kind.DEALLOCATION)
    assert "rejected: insufficient_balance" in attempt(back, "--kind", "deallocation").output
    assert attempt(back, "--kind", "deallocation", "--available", "5").output.startswith("approved\n")


def test_a_policy_that_gives_no_verdict_is_a_rejection_with_its_cause(attempt: Try) -> None:
    """Also where a processor would wait."""
    result = attempt(body("raise"), "--policy", POLICY, "--json", PROCESSOR_POLICY_ON_FAILURE="retry")
    said = json.loads(result.output.splitlines()[-1])
    assert ("policy_failed", {"verdict": "failed", "reason": "raised", "version": "test 1"}) == (
        said["reason"],
        said["plug"],
    )
    assert "ValueError" in said["trouble"]


@pytest.mark.parametrize(
    ("given", "options", "status", "words"),
    [
        ("{", [], 2, "is not JSON"),
        ({}, [], 2, "clientId: Field required"),
        ("x" * 70_000, [], 2, "over 65536 bytes"),
        (body(), ["--policy", "no.such:policy"], 78, "No module named"),
        (body(), ["--log"], 2, "name a request (--request FILE) or the log (--log)"),
    ],
)
def test_a_mistake_gets_a_sentence(attempt: Try, given: Any, options: list[str], status: int, words: str) -> None:
    result = attempt(given, *options)
    assert (status, True) == (result.exit_code, words in result.output), result.output
