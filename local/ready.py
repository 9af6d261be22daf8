"""When a server that was started answers."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from local.child import tail
from local.report import LocalError, Report

POLL_SECONDS: Final = 0.05
SILENT_SECONDS: Final = 2


async def wait_until(
    ready: Callable[[], Awaitable[bool]], name: str, log: Path, report: Report, timeout_seconds: float
) -> None:
    """Ask until the answer is yes; say so when that takes long; raises LocalError after the timeout."""
    start = time.monotonic()
    next_report = start + SILENT_SECONDS
    while not await ready():
        waited = time.monotonic() - start
        if waited > timeout_seconds:
            last_words = "\n  ".join([f"{name} was not ready after {waited:.0f} s; {log} says:", *tail(log)])
            raise LocalError(last_words)
        if start + waited > next_report:
            report(f"waiting for {name} ({waited:.0f} s); its log is {log}")
            next_report += SILENT_SECONDS
        await asyncio.sleep(POLL_SECONDS)


async def is_listening(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
