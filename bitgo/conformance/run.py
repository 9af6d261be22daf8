"""Runs the checks: a few at once, each within its time, reported in their order."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from bitgo.conformance.check import Check
from bitgo.conformance.probe import MismatchError, Probe, SkippedError, Step
from bitgo.conformance.terms import Terms
from bitgo.conformance.wire import NoAnswerError, Request, Wire, session


class Verdict(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Result:
    check: Check
    verdict: Verdict
    reason: str | None = None
    """What went wrong, or why it was skipped."""
    steps: Sequence[Step] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Report:
    terms: Terms
    results: Sequence[Result]
    started: datetime
    seconds: float
    reachable: bool = True
    """Whether the partner could still be reached at the end."""

    def having(self, verdict: Verdict) -> list[Result]:
        return [result for result in self.results if result.verdict is verdict]

    @property
    def exit_status(self) -> int:
        if not self.reachable:
            return 2
        return 1 if self.having(Verdict.FAILED) else 0


class UnreachableError(Exception):
    """The partner speaks no HTTP at its URL."""


@dataclass
class _Runner:
    terms: Terms
    wire: Wire
    skips: Mapping[str, str]
    on_done: Callable[[Result], None]
    until: float = field(init=False)

    def __post_init__(self) -> None:
        self.until = time.monotonic() + self.terms.total_seconds
        self._places = asyncio.Semaphore(self.terms.at_once)

    async def run(self, check: Check) -> Result:
        reason = self.skips.get(check.id) or check.lacks(self.terms)
        if reason:
            result = Result(check, Verdict.SKIPPED, reason)
        else:
            async with self._places:
                result = await self._timed(check)
        self.on_done(result)
        return result

    async def _timed(self, check: Check) -> Result:
        left = self.until - time.monotonic()
        if left <= 0:
            return Result(check, Verdict.FAILED, f"not begun: {self.terms.total_seconds:g} s in all were over")
        probe, started = Probe(self.terms, self.wire), time.perf_counter()
        seconds = min(left, self.terms.check_seconds)
        verdict, reason = Verdict.FAILED, None
        try:
            async with asyncio.timeout(seconds):
                await check.run(probe)
            verdict = Verdict.PASSED
        except TimeoutError:
            reason = f"not finished within {seconds:.0f} s"
        except MismatchError as error:
            reason = str(error)
        except SkippedError as error:
            verdict, reason = Verdict.SKIPPED, str(error)
        except Exception as error:  # noqa: BLE001 - an answer that no check foresaw fails this check and no other
            reason = f"the answers could not be made sense of: {type(error).__name__}: {error}"
        return Result(check, verdict, reason, probe.steps, time.perf_counter() - started)


async def run(
    checks: Sequence[Check], terms: Terms, skips: Mapping[str, str], on_done: Callable[[Result], None]
) -> Report:
    """Raises UnreachableError when nothing answers at the URL."""
    began, started = time.perf_counter(), datetime.now(UTC)
    async with session(terms.at_once) as connections:
        wire = Wire(connections, terms.request_seconds)
        await _reach(wire, terms)
        runner = _Runner(terms, wire, skips, on_done)
        results = await asyncio.gather(*[runner.run(check) for check in checks])
        reachable = await _still_there(wire, terms, results)
    return Report(terms, results, started, time.perf_counter() - began, reachable)


async def _reach(wire: Wire, terms: Terms) -> None:
    try:
        await wire.send(Request("GET", f"{terms.url}{terms.base_path}/allocations"))
    except NoAnswerError as error:
        raise UnreachableError(f"{terms.url} cannot be reached: {error}") from None


async def _still_there(wire: Wire, terms: Terms, results: Sequence[Result]) -> bool:
    if not any(result.verdict is Verdict.FAILED for result in results):
        return True
    try:
        await _reach(wire, terms)
    except UnreachableError:
        return False
    return True
