"""Listening on a port that may still be taken: by the process that this one replaces, or by a stranger."""

import asyncio
import errno
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from service.errors import OperatorError
from service.logs import logger

WAIT_SECONDS: Final = 30.0
"""Longer than an earlier process of ours takes to leave."""
RETRY_SECONDS: Final = 0.5

T = TypeVar("T")
_log = logger("ports")


async def when_free(listen: Callable[[], Awaitable[T]], where: str, remedy: str) -> T:
    """The result of `listen`, tried again for 30 s while the port is taken.

    Raises OperatorError when it stays taken, and at once when this machine can not listen there at all.
    """
    deadline = asyncio.get_running_loop().time() + WAIT_SECONDS
    while True:
        try:
            return await listen()
        except (OSError, ValueError) as error:
            is_late = asyncio.get_running_loop().time() > deadline
            if not _is_taken(error) or is_late:
                raise refused(where, error, remedy) from error
            _log.warning("port_taken", where=where, retry_seconds=RETRY_SECONDS)
            await asyncio.sleep(RETRY_SECONDS)


def _is_taken(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno == errno.EADDRINUSE


def refused(where: str, error: Exception, remedy: str) -> OperatorError:
    """`error`: an OSError, or a ValueError for a name that can be no host's."""
    words = "another process has it" if _is_taken(error) else getattr(error, "strerror", None) or str(error)
    return OperatorError(f"{where} can not be listened on: {words}. {remedy}")
