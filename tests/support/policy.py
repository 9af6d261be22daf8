"""A platform's own policy that does what the notes of a request say, for tests of what bounds it."""

import ctypes
import os
import sys
import time
from pathlib import Path

from schemas.policy import Approve, Facts, Reject, Request

VERSION = "test 1"


def decide(request: Request, facts: Facts) -> object:  # noqa: C901, PLR0911, PLR0912 - one line for each
    match request.notes:
        case "refuse":
            return Reject("not_today")
        case "raise":
            raise ValueError("x" * 10_000)
        case "sleep":
            time.sleep(3600)
        case "loop":
            while True:
                pass
        case "exit":
            sys.exit(3)
        case "os_exit":
            os._exit(3)
        case "crash":
            ctypes.string_at(0)
        case "none":
            return None
        case "class":
            return Approve
        case "lambda":
            return lambda: None
        case "number":
            return Reject(7)  # type: ignore[arg-type]
        case "long":
            return Reject("a" * 65)
        case "capital":
            return Reject("Not_today")
        case "line":
            return Reject("not_today\n")
        case "ours":
            return Reject("insufficient_balance")
        case "gigabyte":
            return Reject(str(len(bytearray(1 << 30))))
        case "recurse":
            return decide(request, facts)
        case "print":
            print('{"verdict": "rejected"}', flush=True)
        case "environment":
            return Reject("leaked" if any("SECRET" in name for name in os.environ) else "clean")
        case "descriptors":
            return Reject("o" * len(list(Path("/proc/self/fd").iterdir())))
        case "facts":
            return Reject("x" * (facts.client_day_total or 0) + "_available" * (facts.available is not None))
        case "tenth":
            time.sleep(0.09)
        case str(path) if path.startswith("/") and Path(path).exists():
            raise ValueError("the file is there")
        case "set":
            return Reject(next(iter({"some", "words", "in", "a", "set"})))
    return Approve()


def one_argument(request: Request) -> Approve:  # noqa: ARG001
    return Approve()


async def coroutine(request: Request, facts: Facts) -> Approve:  # noqa: ARG001
    return Approve()


NO_FUNCTION = 7


def no_eth(request: Request, facts: Facts) -> Approve | Reject:  # noqa: ARG001
    return Reject("no_eth") if request.currency == "ETH" else Approve()
