"""Background work that runs for the life of a process (record 0019)."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from prometheus_client import Counter

from service.errors import OperatorError, StalledError
from service.failures import is_passing
from service.health import Health
from service.logs import logger

RETRY_FIRST_SECONDS: Final = 0.5
RETRY_MAX_SECONDS: Final = 15.0
STEADY_SECONDS: Final = 60.0
"""After running for this long, work restarts with the shortest delay."""

RESTARTS: Final = Counter("background_restarts", "Background work that failed and was started again", ["task", "kind"])

_log = logger("background")


async def keep_running(
    task: str, work: Callable[[], Awaitable[None]], health: Health, *, is_vital: bool = True
) -> None:
    """Run `work`, restarting it after any failure, with a delay that grows to 15 s.

    While it fails /readyz says so under the name `task`; `work` itself calls `health.well(task)` when it is well again.
    If the process can do without it for a while (not `is_vital`), it stays ready, and `degraded`.
    Raises OperatorError and StalledError, which mean that the process must not go on.
    """
    delay = RETRY_FIRST_SECONDS
    while True:
        started = time.monotonic()
        try:
            await work()
        except (OperatorError, StalledError):
            raise
        except Exception as error:  # noqa: BLE001 - nothing that a server answers ends a process
            if time.monotonic() - started > STEADY_SECONDS:
                delay = RETRY_FIRST_SECONDS
            words = _report(task, error, delay)
            (health.problem if is_vital else health.degraded)(task, words)
            await asyncio.sleep(delay)
            delay = min(delay * 2, RETRY_MAX_SECONDS)


def _report(task: str, error: Exception, delay: float) -> str:
    words = f"{type(error).__name__}: {str(error).strip() or 'no answer'}"
    if is_passing(error):
        RESTARTS.labels(task, "passing").inc()
        _log.warning("background_retrying", task=task, error=words, retry_seconds=delay)
    else:
        RESTARTS.labels(task, "unexpected").inc()
        _log.error("background_failed", task=task, error=words, retry_seconds=delay, exc_info=error)
    return f"{task} failed and is tried again: {words}"
