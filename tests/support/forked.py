"""`python -m cli` without its imports: forked from a process that has imported every verb and has run none.

Importing is most of what a start costs, and the tests start hundreds. What is forked is our child, with a session,
environment and files of its own, and ends as the interpreter ends. Tests of the start itself run the program: those of
tests/cli, tests/local, tests/containers, tests/faults, and whatever calls `support.cli.start`.
"""

import atexit
import ctypes
import functools
import gc
import inspect
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

from local.child import PR_SET_PDEATHSIG, Child, Process, check_room, open_log
from local.child import spawn as spawn_program

AVAILABLE: Final = sys.platform == "linux"
PROGRAM: Final = (sys.executable, "-m", "cli")
PR_SET_CHILD_SUBREAPER: Final = 36
REQUEST_MAX_BYTES: Final = 150_000
PARENT_SECONDS: Final = 10
ROOT: Final = Path(__file__).resolve().parent.parent.parent


@dataclass
class Forked:
    """What local.child needs of a process."""

    pid: int
    returncode: int | None = None

    def wait(self) -> int:
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode


def spawn(child: Child) -> Process | Forked:
    """What `local.child.spawn` does; any other program than ours is left to that."""
    if not AVAILABLE or tuple(child.argv[: len(PROGRAM)]) != PROGRAM:
        return spawn_program(child)
    check_room(child)
    with open_log(child.log) as log:
        return fork([str(each) for each in child.argv[len(PROGRAM) :]], os.environ | child.env, log, log)


def fork(arguments: Sequence[str], environment: Mapping[str, str], out: int, err: int) -> Forked:
    """Start `allocations` with these arguments; it ends at the latest when we do."""
    sys.audit("subprocess.Popen", PROGRAM[0], [*PROGRAM, *arguments], None, None)  # for the guard over units
    request = json.dumps([os.getpid(), str(Path.cwd()), list(arguments), dict(environment)]).encode()
    socket.send_fds(_parent(), [request], [out, err])
    if not (pid := _parent().recv(20)):
        raise RuntimeError("the process that imports every verb has ended; standard error says why")
    return Forked(int(pid))


@functools.cache
def _parent() -> socket.socket:
    """The way to the process that has imported everything. It ends when the way is closed."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        program = [sys.executable, "-m", "tests.support.forked"]
        process = subprocess.Popen(program, cwd=ROOT, stdin=theirs, start_new_session=True)  # noqa: S603 - our own argv
    atexit.register(process.wait)
    atexit.register(ours.close)
    return ours


def _next_request() -> list[str]:
    """Return the arguments of a command, in a new process each time; the first process stays in here."""
    with socket.socket(fileno=0) as requests:
        while True:
            request, files, _, _ = socket.recv_fds(requests, REQUEST_MAX_BYTES, 2)
            if not request:
                os._exit(0)
            read, write = os.pipe()
            if between := os.fork():
                os.waitpid(between, 0)  # so that its child becomes that of the caller
                requests.send(os.read(read, 20))
                for each in (read, write, *files):
                    os.close(each)
            elif pid := os.fork():
                os.write(write, b"%d" % pid)
                os._exit(0)
            else:
                requests.detach()
                return _be_born(*json.loads(request), files)


def _be_born(parent: int, cwd: str, arguments: list[str], environment: dict[str, str], files: list[int]) -> list[str]:
    _wait_for(parent)
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    for number, file in enumerate((null, *files)):
        os.dup2(file, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    return arguments


def _wait_for(parent: int) -> None:
    """Until we are its child; whoever has no parent any more has nothing to do."""
    deadline = time.monotonic() + PARENT_SECONDS
    while os.getppid() != parent and time.monotonic() < deadline:
        time.sleep(0.0001)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    from cli.main import VERBS, main

    for name in {module for module, _ in VERBS.values()} | {"ingress.app", "processor.app", "service.process"}:
        import_module(name)
    inspect.getmodule(inspect.currentframe())  # Faust asks it, and it looks at every module the first time
    gc.freeze()
    main(_next_request(), prog_name="allocations")
