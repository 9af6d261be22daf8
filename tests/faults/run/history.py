"""Every call and its answer, one line of JSON each; and when each partition last answered."""

import asyncio
import json
from array import array
from bisect import bisect_left
from itertools import pairwise
from math import inf
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from schemas.records import key_of
from schemas.topics import partition_of

NO_ANSWER = (401, 503)
NOT_APPLIED = (None, 202, *NO_ANSWER)


class History:
    """`answered`: when real answers came, by partition of what they were about."""

    def __init__(self, file: Path, partitions: int) -> None:
        self.file = file
        self.calls = 0
        self.answered = [array("d") for _ in range(partitions)]
        self._newest = [-inf] * partitions
        self._changed = asyncio.Event()

    def __enter__(self) -> Self:
        self._out = self.file.open("w")
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._out.close()

    def write(self, call: dict[str, Any]) -> None:
        self.calls += 1
        self._out.write(json.dumps(call, separators=(",", ":")) + "\n")
        if call.get("status") in NOT_APPLIED or call["verb"] in ("read", "await"):
            return
        partition = partition_of(key_of(call["id"]), len(self.answered))
        self.answered[partition].append(call["end"])
        self._newest[partition] = max(self._newest[partition], call["start"])
        self._changed.set()

    async def all_answer(self, since: float) -> None:
        """Until every partition has answered a call that began after `since`."""
        while min(self._newest) <= since:
            self._changed.clear()
            await self._changed.wait()

    def silence(self, since: float, until: float) -> float:
        """The longest time within these in which some partition gave no answer."""
        return max(self._silence(times, since, until) for times in self.answered)

    def _silence(self, times: "array[float]", since: float, until: float) -> float:
        within = times[bisect_left(times, since) : bisect_left(times, until)]
        return max((later - earlier for earlier, later in pairwise([since, *within])), default=until - since)
