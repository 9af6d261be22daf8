"""Asks a platform's own policy, which runs in a process of its own, and bounds whatever it does (docs/policy.md).

One request at a time. A policy that does not answer in time, or whose process dies, costs that process; the next
request gets a new one. When PAUSE_AFTER requests in a row cost it, it is not asked for PAUSE_SECONDS, so that clears
and releases behind its reserves do not wait for what will not come. What is to be rejected because the policy failed on
it is not asked again when its batch is decided again: one request must not look like many.

All is blocking, for a thread that is not the event loop's.
"""

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final, NoReturn

from processor import metrics
from processor.domain.policy import OnFailure
from processor.settings import ProcessorSettings
from schemas.events import PlugFact
from schemas.policy import Facts, Request
from service.errors import OperatorError, UnavailableError
from service.logs import logger

START_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 2.0
ANSWER_MAX_BYTES: Final = 8192
PAUSE_AFTER: Final = 5
PAUSE_SECONDS: Final = 5.0
REMEMBER_SECONDS: Final = 60.0
"""How long /readyz speaks of a failure."""
LOG_SECONDS: Final = 1.0
FAILED_MAX: Final = 1000
"""How many requests that it failed on are remembered."""

INHERITED: Final = (
    *("PATH", "HOME", "TZ", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "TMPDIR", "PYTHONDONTWRITEBYTECODE"),
)
"""The environment variables that the policy sees: no setting, so no secret, of the processor's."""

_log = logger("processor")


class PolicyWaitsError(UnavailableError):
    """The policy gave no verdict, and the batch is to wait for one."""


class _NoAnswerError(Exception):
    """The process is of no use any more. `reason` is a word of PlugFact's."""

    def __init__(self, reason: str, words: str) -> None:
        super().__init__(words)
        self.reason = reason


class Plug:
    def __init__(
        self, path: str, *, timeout_ms: int = 100, memory_mb: int = 512, on_failure: OnFailure = OnFailure.REJECT
    ) -> None:
        self._path = path
        self._seconds = timeout_ms / 1000
        self._memory_mb = memory_mb
        self._on_failure = on_failure
        self._process: _Process | None = None
        self._one_at_a_time = threading.Lock()
        self._closed = False
        self._version = ""
        self._lost = 0
        self._paused_until = 0.0
        self._failures: list[tuple[float, str]] = []
        self._failed_on: dict[str, str] = {}
        """Allocation ids and reasons, the oldest first. Empty unless failures reject."""
        self._logged_at = 0.0

    def start(self) -> None:
        """Import the policy. Raises OperatorError with what is wrong with it."""
        try:
            self._start()
        except _NoAnswerError as error:
            raise OperatorError(
                f"PROCESSOR_POLICY={self._path}: {error}. It must name a function of two arguments, the request and "
                "the facts, as package.module:function (docs/policy.md)"
            ) from None

    @property
    def version(self) -> str:
        return self._version

    def _start(self) -> "_Process":
        self._process = _Process(self._path, self._seconds, self._memory_mb)
        self._version = self._process.version
        return self._process

    def ask(self, request: Request, facts: Facts) -> PlugFact:
        """The verdict, or that there is none. Raises PolicyWaitsError when the batch is to wait for one."""
        if reason := self._failed_on.get(request.allocation_id):
            return PlugFact(verdict="failed", reason=reason, version=self._version)
        started = time.monotonic()
        try:
            with self._one_at_a_time:
                fact = self._fact(self._ask(request, facts))
        except _NoAnswerError as error:
            return self._failed(request, error)
        finally:
            metrics.POLICY_SECONDS.observe(time.monotonic() - started)
        metrics.POLICY_VERDICTS.labels(fact.verdict).inc()
        return fact

    def _fact(self, said: dict[str, Any]) -> PlugFact:
        if said.get("verdict") == "failed":
            raise _NoAnswerError(said["reason"], said["words"])
        try:
            return PlugFact(verdict=said["verdict"], reason=said.get("reason"), version=self._version)
        except (KeyError, ValueError):
            raise _NoAnswerError("no_verdict", "its answer can not be read") from None

    def _ask(self, request: Request, facts: Facts) -> dict[str, Any]:
        if time.monotonic() < self._paused_until:
            last = self._failures[-1][1] if self._failures else ""
            raise _NoAnswerError("paused", f"not asked, because it did not answer {self._lost} times in a row: {last}")
        try:
            process = self._process or self._start()
            said = process.ask(_line(request, facts), self._seconds)
        except _NoAnswerError:
            self._lose_process()
            raise
        self._lost = 0
        return said

    def _lose_process(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None
        self._lost += 1
        if self._lost >= PAUSE_AFTER:
            self._paused_until = time.monotonic() + PAUSE_SECONDS

    def _failed(self, request: Request, error: _NoAnswerError) -> PlugFact:
        if self._closed:
            raise PolicyWaitsError("the processor stops")
        now = time.monotonic()
        if error.reason != "paused":
            recent = [each for each in self._failures[-999:] if now - each[0] < REMEMBER_SECONDS]
            self._failures = [*recent, (now, str(error))]
        metrics.POLICY_VERDICTS.labels("failed").inc()
        metrics.POLICY_FAILURES.labels(error.reason).inc()
        if now - self._logged_at >= LOG_SECONDS:
            self._logged_at = now
            _log.warning(
                "policy_failed",
                policy=self._path,
                reason=error.reason,
                error=str(error),
                allocation_id=request.allocation_id,
                failures_within_a_minute=len(self._failures),
            )
        if self._on_failure is OnFailure.RETRY:
            raise PolicyWaitsError(f"{self._path} gave no verdict on {request.allocation_id}: {error}")
        if error.reason != "paused":
            self._remember(request.allocation_id, error.reason)
        return PlugFact(verdict="failed", reason=error.reason, version=self._version)

    def _remember(self, allocation_id: str, reason: str) -> None:
        self._failed_on[allocation_id] = reason
        if len(self._failed_on) > FAILED_MAX:
            del self._failed_on[next(iter(self._failed_on))]

    def trouble(self) -> str | None:
        """What /readyz says of the last minute's failures."""
        recent = [each for each in self._failures if time.monotonic() - each[0] < REMEMBER_SECONDS]
        if not recent:
            return None
        became = "rejected as policy_failed" if self._on_failure is OnFailure.REJECT else "waiting"
        return (
            f"{self._path} gave no verdict {len(recent)} times within {REMEMBER_SECONDS:.0f} s, the last time because: "
            f"{recent[-1][1]}. Such reserves are {became}"
        )

    def close(self) -> None:
        """End the process; a call that runs raises PolicyWaitsError."""
        self._closed = True
        self._paused_until = float("inf")
        if process := self._process:
            process.interrupt()
            if self._one_at_a_time.acquire(timeout=CLOSE_SECONDS):
                process.kill()
                self._one_at_a_time.release()


def plug_of(settings: ProcessorSettings) -> Plug | None:
    """The platform's own policy, not started yet, if there is one."""
    if settings.policy is None:
        return None
    return Plug(
        settings.policy,
        timeout_ms=settings.policy_timeout_ms,
        memory_mb=settings.policy_memory_mb,
        on_failure=settings.policy_on_failure,
    )


class _Process:
    """One process, from its start to its first failure. Raises _NoAnswerError when it is of no use."""

    def __init__(self, path: str, seconds: float, memory_mb: int) -> None:
        self._killed = False
        requests, self._requests = os.pipe()
        self._answers, answers = os.pipe()
        arguments = map(str, (requests, answers, path, START_SECONDS, seconds, memory_mb))
        try:
            self._popen = subprocess.Popen(  # noqa: S603 - what an operator configured
                [sys.executable, "-P", "-m", "processor.plug.child", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(requests, answers),
                start_new_session=True,
                env=_environment(),
            )
        except OSError as error:
            self._close()
            raise _NoAnswerError("no_process", f"its process could not be started: {error}") from None
        finally:
            os.close(requests)
            os.close(answers)
        try:
            said = self._read(START_SECONDS)
            if "version" not in said:
                raise _NoAnswerError("no_process", said.get("error", "it did not say its version"))
        except BaseException:
            self.kill()
            raise
        self.version = str(said["version"])

    def ask(self, line: bytes, seconds: float) -> dict[str, Any]:
        try:
            os.write(self._requests, line)
        except OSError:
            self._died()
        return self._read(seconds)

    def _read(self, seconds: float) -> dict[str, Any]:
        """One line, in time."""
        end, line = time.monotonic() + seconds, b""
        poll = select.poll()
        poll.register(self._answers, select.POLLIN)
        while not line.endswith(b"\n"):
            if not poll.poll(max(0.0, end - time.monotonic()) * 1000):
                raise _NoAnswerError("timed_out", f"no answer within {seconds * 1000:.0f} ms")
            more = os.read(self._answers, ANSWER_MAX_BYTES)
            if not more:
                self._died()
            line += more
            if len(line) > ANSWER_MAX_BYTES:
                raise _NoAnswerError("no_verdict", "its answer is too long")
        try:
            said = json.loads(line)
        except ValueError:
            raise _NoAnswerError("no_verdict", "its answer can not be read") from None
        return said if isinstance(said, dict) else {}

    def _died(self) -> NoReturn:
        try:
            status = self._popen.wait(1)
        except subprocess.TimeoutExpired:
            raise _NoAnswerError("died", "it closed its pipe") from None
        raise _NoAnswerError("died", f"its process ended with status {status}")

    def interrupt(self) -> None:
        """End it, with all that it started; a call that waits for it learns of it."""
        with suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGKILL)

    def kill(self) -> None:
        """End it, and what is left of it here."""
        if self._killed:
            return
        self._killed = True
        self.interrupt()
        self._popen.wait()
        self._close()

    def _close(self) -> None:
        os.close(self._requests)
        os.close(self._answers)


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONHASHSEED": "0"}


def _line(request: Request, facts: Facts) -> bytes:
    document = {"request": asdict(request), "facts": asdict(facts)}
    return json.dumps(document, default=datetime.isoformat).encode() + b"\n"
