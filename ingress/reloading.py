"""Files that are replaced while an ingress runs are taken up: within seconds by themselves, at once on SIGHUP.

A file that can not be used changes nothing: what was loaded last stays, and /readyz and the log say so.
"""

import asyncio
import hashlib
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ingress import metrics
from service.errors import OperatorError
from service.health import Health
from service.logs import logger

LOOK_SECONDS: Final = 5.0
FILES: Final = "files"

_log = logger("ingress")


@dataclass
class Watched:
    """`load` reads the files and puts their content to use, or raises OperatorError and changes nothing."""

    what: str
    files: Collection[Path]
    load: Callable[[], None]
    seen: bytes = b""

    def __post_init__(self) -> None:
        self.seen = _fingerprint(self.files)


class Reloading:
    def __init__(self, watched: Collection[Watched], requested: asyncio.Event, health: Health) -> None:
        self._watched = watched
        self._requested = requested
        self._health = health
        self._wrong: dict[str, str] = {}

    async def run(self) -> None:
        """Look for changes, until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._requested.wait()
            self._requested.clear()
            for each in self._watched:
                self._look(each)

    def _look(self, each: Watched) -> None:
        """What changes between two reads is found at the next look: the fingerprint is taken first."""
        found = _fingerprint(each.files)
        if found == each.seen:
            return
        each.seen = found
        try:
            each.load()
        except OperatorError as error:
            self._wrong[each.what] = f"{error}; what was loaded before is still used"
            metrics.NOT_RELOADED.labels(each.what).inc()
            _log.error("not_reloaded", what=each.what, error=str(error))
        else:
            self._wrong.pop(each.what, None)
            _log.info("reloaded", what=each.what)
        if self._wrong:
            self._health.degraded(FILES, "; ".join(self._wrong.values()))
        else:
            self._health.well(FILES)


def _fingerprint(files: Collection[Path]) -> bytes:
    """Of the contents: a mounted secret is replaced by a link elsewhere, under any time."""
    digest = hashlib.sha256()
    for file in files:
        try:
            content = file.read_bytes()
        except OSError as error:
            content = str(error).encode()
        digest.update(len(content).to_bytes(8) + content)
    return digest.digest()
