"""Python imports this by its name when it starts. With BENCH_PROBE set to a folder, the calls in POINTS are timed and
written there when the process ends: one JSON line for each, with the request that it belongs to, its start, its end,
and the places in the log that it was about.

Times are of the machine's monotonic clock, which all processes share. A name that is gone stops the process: figures
with a hole would mislead (tests/bench/test_stages.py finds it earlier).
"""

import atexit
import contextvars
import functools
import importlib.abc
import importlib.machinery
import inspect
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, Final

Places = Callable[[tuple[Any, ...], Any], list[str]]
"""From a call's arguments and result to places in the log, as `partition/offset`."""


def _none(_arguments: tuple[Any, ...], _result: Any) -> list[str]:
    return []


def _place(value: Any) -> str:
    return f"{value.partition}/{value.offset}"


POINTS: Final[dict[str, dict[str, Places]]] = {
    "ingress.http.middleware": {"answer_and_log": _none},
    "ingress.auth.access": {"Access.bitgo": _none, "Access.claim": _none},
    "ingress.kafka.publisher": {"Publisher.publish": lambda _, position: [_place(position)] if position else []},
    "ingress.outcomes.outcomes": {"Outcomes._wait": _none, "Outcomes.at": _none},
    "processor.kafka.batcher": {"Batcher.offer": lambda arguments, _: [_place(each) for each in arguments[1]]},
    "processor.apply": {"Applier.__call__": lambda arguments, _: [_place(each) for each in arguments[1]]},
    "processor.postgres.store": {"Store.load": _none, "Store.commit": _none},
}
REQUEST: Final = "answer_and_log"
CALLS_MAX: Final = 500_000

_calls: list[tuple[str, int, float, float, list[str]]] = []
_request: contextvars.ContextVar[int] = contextvars.ContextVar("request", default=0)
_numbers = itertools.count(1)


class Finder(importlib.abc.MetaPathFinder):
    """Lets the ordinary import find a module, and wraps what is timed in it as soon as it has run."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in POINTS:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = functools.partial(_run, spec.loader.exec_module)  # type: ignore[method-assign]
        return spec


def _run(execute: Callable[[ModuleType], None], module: ModuleType) -> None:
    execute(module)
    for name, places in POINTS[module.__name__].items():
        holder = functools.reduce(getattr, name.split(".")[:-1], module)
        last = name.rpartition(".")[2]
        setattr(holder, last, timed(getattr(holder, last), name, places))


def timed(function: Callable[..., Any], name: str, places: Places) -> Callable[..., Any]:
    def note(started: float, arguments: tuple[Any, ...], result: Any) -> None:
        if len(_calls) < CALLS_MAX:
            _calls.append((name, _request.get(), started, time.perf_counter(), places(arguments, result)))

    if not inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            started = time.perf_counter()
            result = function(*arguments, **named)
            note(started, arguments, result)
            return result

        return call

    @functools.wraps(function)
    async def call_async(*arguments: Any, **named: Any) -> Any:
        if name == REQUEST:
            _request.set(next(_numbers))
        started, result = time.perf_counter(), None
        try:
            result = await function(*arguments, **named)
        finally:
            note(started, arguments, result)
        return result

    return call_async


def _write(folder: Path) -> None:
    if _calls:
        lines = (json.dumps(call) for call in _calls)
        (folder / f"{os.getpid()}.jsonl").write_text("\n".join(lines) + "\n")


if "BENCH_PROBE" in os.environ:
    sys.meta_path.insert(0, Finder())
    atexit.register(_write, Path(os.environ["BENCH_PROBE"]))
