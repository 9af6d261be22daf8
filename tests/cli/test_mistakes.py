"""A mistake gets a sentence, and never a secret back; every verb has help."""

from collections.abc import Callable, Iterator
from typing import Any, cast

import click
import pytest
import structlog
from click.testing import CliRunner, Result

from cli.main import VERBS, main

SECRET = "hunter2hunter2"
ADDRESS = f"postgresql://user:p@{SECRET}@127.0.0.1:1/database"
ID = "aaaaaaaa-1111-4111-8111-111111111111"
NOBODY = "postgresql://nobody@127.0.0.1:1/x"
Allocations = Callable[..., Result]


@pytest.fixture
def allocations() -> Iterator[Allocations]:
    """The command, called as its script calls it."""

    def call(*arguments: str, **environment: str) -> Result:
        result = CliRunner().invoke(main, arguments, env=environment, prog_name="allocations")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return result

    yield call
    structlog.reset_defaults()


FOLDER_MISTAKES = [
    ([verb, "--data", "/nowhere", *more], words)
    for verb in ("verify", "rebuild")
    for more, words in (
        ([], "has not been used in /nowhere"),
        (["--kafka", "127.0.0.1:1"], "leave the other options out"),
    )
]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["up", "--ingress", "0"], "0 is not in the range"),
        (["up", "--port", "99999"], "99999 is not in the range"),
        (["up", "--bitgo-key", "/nowhere.pem"], "does not exist"),
        (["up", "--nonsense"], "No such option"),
        (["nonsense"], "No such command"),
        (["token", "--data", "/nowhere"], "there is no key at"),
        (["demo", "--ingress", "http://127.0.0.1:1"], "--ingress needs --key"),
        (["migrate", "--postgres", NOBODY], "no answer"),
        (["topics", "--kafka", "127.0.0.1:1"], "no answer"),
        (["capture", "/nowhere/file", "--kafka", "127.0.0.1:1"], "there is no folder /nowhere"),
        (["load", "/nowhere"], "does not exist"),
        (["dead-letters", "list", "--postgres", NOBODY], "no answer"),
        (["dead-letters", "retry", "--postgres", NOBODY], "name PARTITION and OFFSET"),
        (["dead-letters", "retry", "1", "--postgres", "x"], "name PARTITION and OFFSET"),
        (["show", "x", "--postgres", NOBODY], "not a valid UUID"),
        (["accounts", "--data", "/nowhere"], "has not been used in /nowhere"),
        (["accounts", "--data", "/nowhere", "--postgres", NOBODY], "leave the other options out"),
        (["show", ID, "--postgres", NOBODY], "no answer"),
        (["show", ID], "which database?"),
        (["accounts", "--holds", "--postgres", NOBODY], "--holds needs a CONNECTION"),
        (["accounts", ID, "--limit", "501", "--postgres", NOBODY], "500 currencies at most"),
        (["ledger", ID, "BTC", "--after", "x", "--postgres", NOBODY], "no cursor of a ledger"),
        (["ledger", ID, "BTC", "--csv", "--json", "--postgres", NOBODY], "not both"),
        (["ingress"], "INGRESS_POSTGRES_URL"),
        (["processor"], "PROCESSOR_INSTANCE_ID"),
        (["show", ID, "--postgres", "postgresql://u@a..b/x"], "must be postgresql://"),
        (["show", ID, "--postgres", f"postgresql://u@{'a' * 64}/x"], "must be postgresql://"),
        (["dead-letters", "list", "--partition", "9999999999", "--postgres", NOBODY], "is not in the range"),
        (["dead-letters", "show", "0", "9" * 20, "--postgres", NOBODY], "is not in the range"),
        (["dead-letters", "discard", "0", "1", "--reason", "", "--postgres", NOBODY], "1 to 256 characters"),
        (["dead-letters", "retry", "0", "1", "--by", "\udcff", "--postgres", NOBODY], "1 to 256 characters"),
        (["dead-letters", "list", "--since", "999999d", "--postgres", NOBODY], "there was no calendar"),
        (["policy", "try", "--log", "--to", "9999-12-31"], "is no day"),
        (["ledger", ID, "B\udcff", "--postgres", NOBODY], "is no currency"),
        (["checkpoint", "x" * 300, "--kafka", "127.0.0.1:1"], "File name too long"),
        (["token", "--data", "x" * 300], "File name too long"),
        (["keys", "--data", "/dev/null/x"], "Not a directory"),
        (["simulator", "check", "--ledger", "/dev/null"], "is no ledger"),
        *FOLDER_MISTAKES,
    ],
    ids=lambda each: "-".join(each) if isinstance(each, list) else "",
)
def test_given_a_mistake_then_a_sentence_says_what_it_is(
    allocations: Allocations, options: list[str], words: str
) -> None:
    result = allocations(*options)
    assert result.exit_code in (1, 2, 78)
    assert "" == result.stdout
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def verbs() -> Iterator[str]:
    yield ""
    for name in VERBS:
        command: Any = cast("click.Group", main).get_command(click.Context(main), name)
        yield from (name, *(f"{name} {each}" for each in getattr(command, "commands", {})))


@pytest.mark.parametrize("verb", list(verbs()))
def test_every_verb_has_help(allocations: Allocations, verb: str) -> None:
    result = allocations(*verb.split(), "--help")
    assert (0, True) == (result.exit_code, result.stdout.startswith("Usage: "))


@pytest.mark.parametrize(
    "command",
    [
        ["migrate"],
        ["verify", "--kafka", "127.0.0.1:1"],
        ["rebuild", "--kafka", "127.0.0.1:1"],
        ["checkpoint", "a.checkpoint", "--kafka", "127.0.0.1:1"],
        ["dead-letters", "list"],
        ["dead-letters", "show", "0", "0"],
        ["dead-letters", "discard", "0", "0", "--reason", "none"],
        ["topics"],
        ["ingress"],
        ["processor"],
        ["up", "--data", "never-made", "--postgres", ADDRESS],
    ],
    ids=" ".join,
)
def test_given_a_malformed_address_of_the_database_then_it_is_not_repeated(
    allocations: Allocations, command: list[str]
) -> None:
    result = allocations(*command, **{f"{prefix}_POSTGRES_URL": ADDRESS for prefix in ("INGRESS", "PROCESSOR")})
    assert result.exit_code not in (0, -1)
    assert "must be postgresql://" in result.stderr
    assert "Traceback" not in result.stderr
    assert SECRET not in result.output
