"""Who calls in a trading day: BitGo and the platform at every ingress, each request sent again until it is answered."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from bitgo.client import Reply
from tests.support.operator import Operator

DEADLINE_SECONDS: Final = 16
"""A command that reaches the log later changes nothing."""
GIVE_UP_SECONDS: Final = 120
AGAIN_SECONDS: Final = 0.2

Call = Callable[[Operator], Awaitable[Reply]]


@dataclass
class Callers:
    """`told` counts the answers of the day by what they said."""

    operators: list[Operator]
    dice: random.Random
    told: Counter[str] = field(default_factory=Counter)

    async def until_answered(self, call: Call) -> tuple[Reply, bool]:
        """The first answer but 503, and whether an earlier request may still come after it."""
        is_unsure = False
        async with asyncio.timeout(GIVE_UP_SECONDS):
            while True:
                try:
                    reply = await call(self.dice.choice(self.operators))
                except (aiohttp.ClientError, TimeoutError):
                    is_unsure = True
                    self.told["no answer"] += 1
                else:
                    if reply.status != 503:
                        return reply, is_unsure
                    is_unsure = is_unsure or reply.body["code"] == "outcome_pending"
                    self.told[reply.body["code"]] += 1
                await asyncio.sleep(AGAIN_SECONDS)

    async def accepted(self, call: Call) -> Mapping[str, Any]:
        """The body of a 200. Raises AssertionError for any other."""
        reply, _ = await self.until_answered(call)
        assert 200 == reply.status, reply.body
        body: Mapping[str, Any] = reply.body
        return body
