"""Named child processes: started, restarted when they die, stopped in order.

The first restart comes at once, further ones after 0.5 s to 10 s, doubling; 30 s of life forget the past. A status of
`Child.final` (78: the operator must act) is not restarted: its last words are reported and the others go on.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Self

from local.child import Child, Process, ended, kill, send, spawn, tail
from local.report import Report

FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 10.0
FORGET_AFTER_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Change:
    """`status` is negative for a signal, and None for a start."""

    name: str
    what: Literal["started", "restarted", "ended", "given up"]
    pid: int
    status: int | None = None


@dataclass
class Kept:
    child: Child
    process: Process
    leaving: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] = field(init=False)


class Supervisor:
    """Used as a context manager, it leaves no process behind, whatever happens inside."""

    def __init__(
        self,
        report: Report,
        notify: Callable[[Change], None] = lambda _: None,
        spawn: Callable[[Child], Process] = spawn,
    ) -> None:
        self._report = report
        self._notify = notify
        self._spawn = spawn
        self._kept: dict[str, Kept] = {}
        self._changed = asyncio.Event()
        self._stopping = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self.stop()
        finally:
            self.kill()
            await asyncio.gather(*(kept.task for kept in self._kept.values()), return_exceptions=True)

    def start(self, child: Child) -> int:
        """Return the pid; raises OSError when the program cannot be run at all."""
        if self._stopping or child.name in self._kept:
            raise RuntimeError(f"{child.name} cannot be started: it runs already, or everything is being stopped")
        kept = self._kept[child.name] = Kept(child, self._spawn(child))
        kept.task = asyncio.create_task(self._keep(kept), name=child.name)
        self._tell(Change(child.name, "started", kept.process.pid))
        return kept.process.pid

    def pids(self) -> dict[str, int]:
        """Return the living."""
        return {name: kept.process.pid for name, kept in self._kept.items() if kept.process.returncode is None}

    def signal(self, name: str, number: signal.Signals) -> None:
        send(self._kept[name].process, number)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition on the processes; it is asked again at every change."""
        while not condition():
            await self._changed.wait()

    async def restarted(self, name: str, before: int) -> int:
        """Wait until another process than `before` bears the name; return its pid."""
        await self.until(lambda: self.pids().get(name, before) != before)
        return self.pids()[name]

    async def remove(self, name: str) -> None:
        """Stop one child and forget it."""
        await self._stop(self._kept[name])
        del self._kept[name]

    async def stop(self, *order: Collection[str]) -> None:
        """Stop group after group, then whatever no group names, last started first.

        Called a second time while the first still waits, it kills all that is left.
        """
        if self._stopping:
            self.kill()
        self._stopping = True
        for group in self._groups(order):
            await asyncio.gather(*(self._stop(kept) for kept in group))

    def kill(self) -> None:
        """Kill everything at once, and restart nothing."""
        self._stopping = True
        for kept in self._kept.values():
            kept.leaving.set()
            kill(kept.process)

    def _groups(self, order: Sequence[Collection[str]]) -> list[list[Kept]]:
        named = [[kept for name, kept in self._kept.items() if name in group] for group in order]
        rest = [kept for kept in reversed(self._kept.values()) if not any(kept in group for group in named)]
        return [*named, *([kept] for kept in rest)]

    async def _stop(self, kept: Kept) -> None:
        kept.leaving.set()
        send(kept.process, kept.child.stop_signal)
        send(kept.process, signal.SIGCONT)
        _, still_running = await asyncio.wait([kept.task], timeout=kept.child.stop_timeout_seconds)
        if still_running:
            self._report(f"{kept.child.name} did not stop within {kept.child.stop_timeout_seconds:.0f} s: killed")
            kill(kept.process)
        await kept.task

    async def _keep(self, kept: Kept) -> None:
        failures = 0
        while True:
            since = time.monotonic()
            status = await ended(kept.process)
            self._tell(Change(kept.child.name, "ended", kept.process.pid, status))
            if time.monotonic() - since > FORGET_AFTER_SECONDS:
                failures = 0
            if status in kept.child.final and not kept.leaving.is_set():
                self._give_up(kept, status)
                return
            if not kept.child.restarted or not await self._restart(kept, failures):
                return
            failures += 1

    async def _restart(self, kept: Kept, failures: int) -> bool:
        """Return False when the child is to stop instead."""
        while not await happens(kept.leaving, pause_seconds(failures)):
            try:
                kept.process = self._spawn(kept.child)
            except OSError as error:
                failures += 1
                self._report(f"{kept.child.name} cannot be started: {error}")
            else:
                self._tell(Change(kept.child.name, "restarted", kept.process.pid))
                return True
        return False

    def _give_up(self, kept: Kept, status: int) -> None:
        name, log = kept.child.name, kept.child.log
        self._report(f"{name} ended with status {status} and is not restarted, because somebody must act first.")
        for line in tail(log):
            self._report(f"  {name}: {line}")
        self._report(f"Do what its last words ask for (they are in {log}), then start again. The others go on.")
        self._tell(Change(name, "given up", kept.process.pid, status))

    def _tell(self, change: Change) -> None:
        before, self._changed = self._changed, asyncio.Event()
        before.set()
        self._notify(change)


def pause_seconds(failures: int) -> float:
    return min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** (failures - 1)) if failures else 0.0


async def happens(event: asyncio.Event, timeout_seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), timeout_seconds)
    return event.is_set()
