"""A process of ours from start to exit: event loop, signals, exit status."""

import asyncio
import gc
import signal
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import uvloop

from service import aiokafka_connection
from service.errors import EXIT_OPERATOR, OperatorError
from service.logs import configure_logs, logger
from service.settings import ServiceSettings

YOUNG_OBJECTS: Final = 20_000
"""Threshold of generation 0 of the garbage collector. Python's default of 700 is reached by two or three concurrent
requests, nearly all of whose objects are freed when they are answered."""

T = TypeVar("T")


def stop_requested() -> asyncio.Future[None]:
    """A future that is done when the process was asked to stop (SIGTERM or SIGINT)."""
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[None] = loop.create_future()

    def request() -> None:
        if not stop.done():
            stop.set_result(None)

    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, request)
    return stop


def reload_requested() -> asyncio.Event:
    """Set at every SIGHUP, which from then on does not end the process."""
    event = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, event.set)
    return event


async def unless(stop: asyncio.Future[None], work: Coroutine[Any, Any, T]) -> T | None:
    """Await `work`, or None as soon as `stop` is done."""
    task = asyncio.create_task(work)
    stop.add_done_callback(lambda _: task.cancel())
    await asyncio.wait({task})
    return None if task.cancelled() else task.result()


def run_process(settings: ServiceSettings, name: str, main: Coroutine[Any, Any, None]) -> int:
    """Run a process to its end; returns its exit status: 0, 1 for a crash, 78 for OperatorError."""
    configure_logs(settings, name)
    aiokafka_connection.use()
    gc.freeze()  # what was imported lives as long as the process: there is no garbage to be found in it
    gc.set_threshold(YOUNG_OBJECTS)
    log = logger("process")
    try:
        uvloop.run(main)
    except Exception as error:
        errors = _leaves(error)
        if refused := [each for each in errors if isinstance(each, OperatorError)]:
            log.error("refused_to_run", error=str(refused[0]), exit_status=EXIT_OPERATOR)
            return EXIT_OPERATOR
        for each in errors:
            log.error("crashed", exc_info=each, exit_status=1)
        return 1
    return 0


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for each in error.exceptions for leaf in _leaves(each)]
    return [error]
