"""The process in which a platform's own policy runs: one line of JSON per request, and one per answer.

It has no socket and no secret of the processor, and a limit of memory. It ends when the processor does: the requests
end, or, while the policy runs, a timer of the kernel's does it.
"""

import hashlib
import inspect
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from schemas.policy import REASON, Approve, Connection, Facts, Reject, Request
from schemas.words import Rejection

WORDS_MAX: Final = 300
VERSION_MAX: Final = 64
OURS: Final = frozenset(Rejection)
FAILED: Final = "failed"

Policy = Callable[[Request, Facts], object]


def main() -> None:
    """Arguments: the descriptors to read from and write to, `module:function`, seconds for a start and for a call,
    mebibytes of memory.
    """
    requests, answers, path, start_seconds, call_seconds, memory = sys.argv[1:]
    for descriptor in (requests, answers):
        os.set_inheritable(int(descriptor), False)  # noqa: FBT003 - no keyword there
    _limit(int(memory) * 1024 * 1024)
    with os.fdopen(int(requests), "rb") as lines, os.fdopen(int(answers), "wb", buffering=0) as out:
        with _Timer(float(start_seconds)):
            policy, said = _load(path)
        _say(out, said)
        if policy is None:
            return
        for line in lines:
            with _Timer(float(call_seconds)):
                said = _answer(policy, line)
            _say(out, said)


class _Timer:
    """The kernel ends this process when the work lasts for longer, whatever it does: nobody may be left to do it."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds + 1

    def __enter__(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, self._seconds)

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _limit(memory: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _say(out: Any, said: dict[str, str]) -> None:
    out.write(json.dumps(said).encode() + b"\n")


def _load(path: str) -> tuple[Policy | None, dict[str, str]]:
    """The function and its version; or what is wrong with it, as a sentence."""
    name, _, function = path.partition(":")
    try:
        module = import_module(name)
        policy = getattr(module, function, None)
        if wrong := _unfit(policy, function):
            return None, {"error": f"{name} {wrong}"}
        return policy, {"version": _version(module)}
    except BaseException as error:  # noqa: BLE001 - SystemExit too: whatever it is, the processor says it
        return None, {"error": f"importing {name} raised {_words(error)}"}


def _unfit(policy: Any, function: str) -> str:
    if policy is None:
        return f"has no {function}"
    if not callable(policy):
        return f"has {function}, which is no function"
    if inspect.iscoroutinefunction(policy) or inspect.isgeneratorfunction(policy):
        return f"has {function}, which must be a plain function, and is a coroutine or a generator"
    try:
        inspect.signature(policy).bind(None, None)
    except (TypeError, ValueError):
        return f"has {function}, which does not take two arguments, the request and the facts"
    return ""


def _version(module: ModuleType) -> str:
    """Its VERSION, or else a hash of its source."""
    version = getattr(module, "VERSION", None)
    if version is None:
        return hashlib.sha256(Path(str(module.__file__)).read_bytes()).hexdigest()[:12]
    if not (isinstance(version, str) and version.isprintable() and 1 <= len(version) <= VERSION_MAX):
        raise ValueError(f"VERSION must be a text of 1 to {VERSION_MAX} printable characters")
    return version


def _answer(policy: Policy, line: bytes) -> dict[str, str]:
    try:
        request, facts = _asked(line)
        return _said(policy(request, facts))
    except BaseException as error:  # noqa: BLE001 - SystemExit too: a policy does not end its process
        return {"verdict": FAILED, "reason": "raised", "words": _words(error)}


def _asked(line: bytes) -> tuple[Request, Facts]:
    document = json.loads(line)
    request, facts = document["request"], document["facts"]
    request["recorded_at"] = datetime.fromisoformat(request["recorded_at"])
    if connection := facts["connection"]:
        connection["activated_at"] = datetime.fromisoformat(connection["activated_at"])
        facts["connection"] = Connection(**connection)
    return Request(**request), Facts(**facts)


def _said(verdict: object) -> dict[str, str]:
    match verdict:
        case Approve():
            return {"verdict": "approved"}
        case Reject(reason=str() as reason) if REASON.fullmatch(reason) and reason not in OURS:
            return {"verdict": "rejected", "reason": reason}
        case Reject():
            words = "its reason is not 1 to 64 characters of [a-z_], or is one of the service's own"
        case _:
            words = f"it returned a {type(verdict).__name__[:WORDS_MAX]}, and neither Approve nor Reject"
    return {"verdict": FAILED, "reason": "no_verdict", "words": words}


def _words(error: BaseException) -> str:
    try:
        words = str(error)
    except BaseException:  # noqa: BLE001 - an exception may not know what it is
        words = ""
    return f"{type(error).__name__}: {words}"[:WORDS_MAX]


if __name__ == "__main__":
    main()
