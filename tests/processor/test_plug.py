"""A platform's own policy: whatever it does, an answer comes in time, and the next request gets a right one."""

import asyncio
import hashlib
import os
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from processor.domain.policy import OnFailure
from processor.plug import plug as module
from processor.plug.plug import Plug, PolicyWaitsError
from schemas.events import PlugFact
from schemas.policy import Facts, Request
from service.errors import OperatorError
from tests.support.commands import NOON

POLICY = "tests.support.policy:decide"


def asks(notes: str | None = None) -> Request:
    return Request("allocation", str(uuid.uuid4()), "BTC", 10**77, "client", "connection", "account", NOON, notes=notes)


@pytest.fixture
def plug() -> Iterator[Plug]:
    started = Plug(POLICY)
    started.start()
    yield started
    started.close()


def approves(plug: Plug) -> bool:
    return PlugFact(verdict="approved", version="test 1") == plug.ask(asks(), Facts())


def test_it_approves_and_rejects_with_a_word_of_its_own(plug: Plug) -> None:
    assert approves(plug)
    expected = PlugFact(verdict="rejected", reason="not_today", version="test 1")
    assert expected == plug.ask(asks("refuse"), Facts())
    assert plug.trouble() is None


def test_it_sees_the_facts(plug: Plug) -> None:
    assert "xxx" == plug.ask(asks("facts"), Facts(client_day_total=3)).reason
    assert "_available" == plug.ask(asks("facts"), Facts(available=0)).reason


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        *(("raise", "raised"), ("exit", "raised"), ("recurse", "raised"), ("gigabyte", "raised")),
        *(("sleep", "timed_out"), ("loop", "timed_out")),
        *(("os_exit", "died"), ("crash", "died")),
        *((each, "no_verdict") for each in ("none", "class", "lambda", "number", "long", "capital", "line", "ours")),
    ],
)
def test_whatever_it_does_it_is_bounded_and_the_next_answer_is_right(plug: Plug, what: str, reason: str) -> None:
    assert approves(plug)
    started = time.monotonic()
    assert PlugFact(verdict="failed", reason=reason, version="test 1") == plug.ask(asks(what), Facts())
    assert time.monotonic() - started < 2
    assert approves(plug)
    trouble = plug.trouble()
    assert trouble is not None
    assert "1 times" in trouble
    assert len(trouble) < 1000


def test_what_it_prints_is_no_answer(plug: Plug) -> None:
    assert "approved" == plug.ask(asks("print"), Facts()).verdict


def test_it_has_no_environment_of_the_processor_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROCESSOR_SECRET", "secret")
    started = Plug(POLICY)
    assert "clean" == started.ask(asks("environment"), Facts()).reason
    started.close()


def test_it_has_no_descriptor_of_the_processor_s(plug: Plug) -> None:
    """Three times the null device, its two pipes, and the folder that it reads."""
    with Path("/dev/zero").open("rb") as file:
        os.set_inheritable(file.fileno(), True)  # noqa: FBT003
        plug.ask(asks("os_exit"), Facts())
        assert "o" * 6 == plug.ask(asks("descriptors"), Facts()).reason


def test_the_order_of_its_sets_is_always_the_same(plug: Plug) -> None:
    first = plug.ask(asks("set"), Facts())
    plug.ask(asks("os_exit"), Facts())
    assert first == plug.ask(asks("set"), Facts())


@pytest.mark.slow
def test_given_five_time_outs_in_a_row_then_it_is_not_asked_for_a_while(
    plug: Plug, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that clears behind its reserves do not wait for what will not come; then it is asked again."""
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.3)
    for _ in range(5):
        assert "timed_out" == plug.ask(asks("loop"), Facts()).reason
    started = time.monotonic()
    assert ["paused"] * 100 == [plug.ask(asks(), Facts()).reason for _ in range(100)]
    assert time.monotonic() - started < 0.1
    time.sleep(0.3)
    assert approves(plug)


@pytest.mark.slow
def test_time_outs_between_right_answers_do_not_pause_it(plug: Plug) -> None:
    for _ in range(6):
        assert "timed_out" == plug.ask(asks("loop"), Facts()).reason
        assert approves(plug)


def test_given_a_batch_that_is_decided_again_then_what_it_failed_on_is_not_asked_again(plug: Plug) -> None:
    """Or one request would be five time-outs in a row, and all others were rejected while it is paused."""
    poisoned = asks("sleep")
    started = time.monotonic()
    verdicts = [plug.ask(poisoned, Facts(available=each)) for each in range(2 * module.PAUSE_AFTER)]
    assert [PlugFact(verdict="failed", reason="timed_out", version="test 1")] * len(verdicts) == verdicts
    assert time.monotonic() - started < 1, "one time limit, not ten"
    assert approves(plug)


def test_given_that_the_batch_is_to_wait_then_there_is_no_verdict() -> None:
    waits = Plug(POLICY, on_failure=OnFailure.RETRY)
    waits.start()
    with pytest.raises(PolicyWaitsError, match="ValueError"):
        waits.ask(asks("raise"), Facts())
    assert approves(waits)
    waits.close()


def test_a_process_that_was_killed_is_replaced(plug: Plug) -> None:
    os.kill(pid_of(plug), signal.SIGKILL)
    assert "died" == plug.ask(asks(), Facts()).reason
    assert approves(plug)


@pytest.mark.slow
def test_a_limit_of_its_own() -> None:
    slow = Plug(POLICY, timeout_ms=1000)
    started = time.monotonic()
    assert "timed_out" == slow.ask(asks("sleep"), Facts()).reason
    assert 1 <= time.monotonic() - started < 3
    slow.close()


async def test_a_stop_does_not_wait_for_it() -> None:
    slow = Plug(POLICY, timeout_ms=60_000)
    slow.start()
    asking = asyncio.create_task(asyncio.to_thread(slow.ask, asks("sleep"), Facts()))
    await asyncio.sleep(0.2)
    await asyncio.to_thread(slow.close)
    with pytest.raises(PolicyWaitsError):
        await asking


@pytest.mark.slow
def test_a_policy_that_runs_when_its_processor_was_killed_is_ended_by_the_kernel() -> None:
    alone = module._Process(POLICY, 0.1, 512)
    os.write(alone._requests, module._line(asks("loop"), Facts()))
    assert -signal.SIGALRM == alone._popen.wait(5)
    alone.kill()


def test_a_policy_that_waits_ends_when_nobody_can_ask_any_more() -> None:
    alone = module._Process(POLICY, 0.1, 512)
    os.close(alone._requests)
    assert 0 == alone._popen.wait(5)
    os.close(alone._answers)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("no.such.module:decide", "No module named"),
        ("tests.support.policy:no_such_function", "has no no_such_function"),
        ("tests.support.policy:NO_FUNCTION", "is no function"),
        ("tests.support.policy:one_argument", "does not take two arguments"),
        ("tests.support.policy:coroutine", "coroutine"),
        ("tests.support.policy_that_raises:decide", "this can not be imported"),
        ("tests.support.policy_that_exits:decide", "ended with status 0"),
    ],
)
def test_given_no_policy_then_the_start_says_what_is_wrong(path: str, words: str) -> None:
    with pytest.raises(OperatorError, match=f"PROCESSOR_POLICY={path}: .*{words}"):
        Plug(path).start()


def test_without_a_version_it_is_a_hash_of_the_source() -> None:
    source = Path(__file__).parents[1] / "support" / "policy_without_a_version.py"
    started = Plug("tests.support.policy_without_a_version:decide")
    started.start()
    assert hashlib.sha256(source.read_bytes()).hexdigest()[:12] == started.version
    started.close()


def test_the_example_works_and_is_the_one_in_the_document(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[2]
    assert (root / "examples" / "policy.py").read_text() in (root / "docs" / "policy.md").read_text()
    monkeypatch.syspath_prepend(str(root / "examples"))
    example = Plug("policy:decide")
    assert ("above_tier", "2026-11-28") == (example.ask(asks(), Facts()).reason, example.version)
    example.close()


def pid_of(plug: Plug) -> int:
    assert plug._process is not None
    return plug._process._popen.pid
