"""One child process: what it is, how it is born, how its end is seen.

It is born in a session of its own, so that a Ctrl-C at the terminal reaches its parent only; and with a parent-death
signal, so that it does not outlive a parent that was killed. Its pid is not reaped before whatever it left in its
session is killed: until then the number belongs to it, and no signal can meet a stranger.
"""

import asyncio
import contextlib
import ctypes
import errno
import os
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from local.account import Account
from local.report import LocalError

EX_CONFIG: Final = 78
LOG_LIMIT_BYTES: Final = 10_000_000
POLL_SECONDS: Final = 0.05
PR_SET_PDEATHSIG: Final = 1

if sys.platform == "linux":
    _prctl = ctypes.CDLL(None).prctl


@dataclass(frozen=True, kw_only=True, slots=True)
class Child:
    """`env` is added to ours; `fds` are inherited under their numbers; a status in `final` is never restarted.

    With less than `room_bytes` free on the disk of `cwd` it is not started.
    """

    name: str
    argv: Sequence[str | Path]
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    user: Account | None = None
    fds: Sequence[int] = ()
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_seconds: float = 10
    restarted: bool = True
    room_bytes: int = 0
    final: frozenset[int] = frozenset({EX_CONFIG})


Process = subprocess.Popen[bytes]


def spawn(child: Child, stdin: int = subprocess.DEVNULL) -> Process:
    """Raise OSError when there is no such program, or no room for it.

    The thread that calls this must live as long as the child.
    """
    check_room(child)
    user, group = (child.user.uid, child.user.gid) if child.user else (None, None)
    with open_log(child.log) as log, forking():
        return subprocess.Popen(  # noqa: S603 - our own argv
            [str(each) for each in child.argv],
            stdin=stdin,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **child.env},
            cwd=child.cwd,
            pass_fds=child.fds,
            start_new_session=True,
            user=user,
            group=group,
            extra_groups=[] if child.user else None,
            preexec_fn=die_with_parent(child.stop_signal),  # noqa: PLW1509 - two system calls, nothing that locks
        )


def check_room(child: Child) -> None:
    """Raise OSError when the disk is too full for it to start."""
    free = shutil.disk_usage(child.cwd or ".").free if child.room_bytes else 0
    if free < child.room_bytes:
        words = f"{free >> 20} MB are free on the disk, and it is started with {child.room_bytes >> 20} MB or more"
        raise OSError(errno.ENOSPC, words, str(child.cwd))


def die_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """Return what runs between the change of user, which would clear the signal, and the program."""
    if sys.platform != "linux":
        return None
    parent = os.getpid()

    def prepare() -> None:
        _prctl(PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:
            os._exit(1)

    return prepare


@contextlib.contextmanager
def forking() -> Iterator[None]:
    """Python 3.12 warns of every fork beside other threads; the child calls nothing that they could hold."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        yield


@contextlib.contextmanager
def open_log(path: Path) -> Iterator[int]:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
        path.replace(path.with_name(f"{path.name}.1"))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def tail(path: Path, lines: int = 20) -> list[str]:
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 16_384))
        return file.read().decode(errors="replace").splitlines()[-lines:]
    return []


async def ended(process: Process) -> int:
    """Wait for the end, kill what is left in its session, reap it; the status is negative for a signal."""
    await ending(process)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


async def ending(process: Process) -> None:
    try:
        descriptor = os.pidfd_open(process.pid)
    except (AttributeError, OSError):  # not Linux, an old kernel, a Python that was built with old headers
        while not has_ended(process):  # noqa: ASYNC110 - nothing wakes us there
            await asyncio.sleep(POLL_SECONDS)
        return
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def has_ended(process: Process) -> bool:
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def send(process: Process, number: signal.Signals) -> None:
    """To nobody once it is reaped."""
    if process.returncode is None:
        os.kill(process.pid, number)


def kill(process: Process) -> None:
    """With everything in its session."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


async def run(child: Child, *, stdin: int = subprocess.DEVNULL, timeout_seconds: float = 120) -> None:
    """Run a program to its end; raises LocalError with its last words unless that end is good."""
    process = spawn(child, stdin)
    try:
        async with asyncio.timeout(timeout_seconds):
            status = await ended(process)
    except TimeoutError:
        raise LocalError(f"{child.name} did not end within {timeout_seconds:.0f} s; its log is {child.log}") from None
    finally:
        kill(process)
        process.wait()
    if status:
        raise LocalError("\n  ".join([f"{child.name} ended with status {status}; {child.log} says:", *tail(child.log)]))
