"""Load while something breaks, and the question afterwards: was anything that was acknowledged lost, or done twice?"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import pairwise

import aiohttp

from bitgo.client import BitGo, Reply, reserve_body
from schemas.words import Kind, Verb
from tests.support.system import System


@dataclass
class Traffic:
    """Clients that reserve and then clear or release, and repeat each request until it has an answer other than 503."""

    ingresses: list[BitGo]
    clients: int = 8
    answers: list[tuple[str, Reply]] = field(default_factory=list)
    finals: dict[str, str] = field(default_factory=dict)
    codes: Counter[str] = field(default_factory=Counter)
    answered_at: list[float] = field(default_factory=list)

    async def during(self, trouble: Callable[[], Awaitable[None]], *, before: float = 1.0, after: float = 3.0) -> None:
        """Run the clients for `before` seconds, through the trouble, and for `after` seconds; then let them finish."""
        over = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self.clients):
                tasks.create_task(self._client(over))
            await asyncio.sleep(before)
            await trouble()
            await asyncio.sleep(after)
            over.set()

    async def _client(self, over: asyncio.Event) -> None:
        while not over.is_set():
            body = reserve_body(Kind.ALLOCATION, random.randint(1, 1000))
            allocation = body["allocationId"]
            reserved = await self._until_answered(
                allocation,
                lambda bitgo, body=body: bitgo.reserve(Kind.ALLOCATION, body),  # type: ignore[misc]
            )
            assert (200, "reserved") == (reserved.status, reserved.body.get("status")), reserved
            verb = random.choice([Verb.CLEAR, Verb.RELEASE])
            done = await self._until_answered(
                allocation,
                lambda bitgo, verb=verb, allocation=allocation: bitgo.finish(Kind.ALLOCATION, verb, allocation),  # type: ignore[misc]
            )
            assert done.status == 200, done
            self.finals[allocation] = done.body["status"]

    async def _until_answered(self, allocation: str, request: Callable[[BitGo], Awaitable[Reply]]) -> Reply:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            try:
                reply = await request(random.choice(self.ingresses))
            except (aiohttp.ClientError, TimeoutError) as error:
                self.codes[type(error).__name__] += 1
                await asyncio.sleep(0.1)
                continue
            self.codes[reply.body.get("code") or reply.body.get("status")] += 1
            if reply.status == 200:
                self.answers.append((allocation, reply))
                self.answered_at.append(time.monotonic())
            if reply.status != 503:
                return reply
            assert int(reply.headers["Retry-After"]) >= 1
            await asyncio.sleep(random.uniform(0.1, 0.6))
        raise AssertionError(f"no answer within 90 s; so far: {self.codes}")

    def longest_silence(self, since: float) -> float:
        """The longest time without any 200, in seconds, from `since` on."""
        times = [since, *(at for at in self.answered_at if at >= since)]
        return max((later - earlier for earlier, later in pairwise(times)), default=0.0)

    def check(self, system: System) -> None:
        """Each answer rests on its own journal row, each transition was made once, balances are the sums of moves."""
        journal = {
            str(row["command_id"]): row for row in system.rows("SELECT * FROM journal WHERE command_id IS NOT NULL")
        }
        for allocation, reply in self.answers:
            row = journal[reply.headers["Command-Id"]]
            position = f"{system.topics.commands}/{row['partition']}/{row['offset']}"
            assert (allocation, position, reply.body["status"], reply.headers["Allocation-Version"]) == (
                str(row["subject_id"]),
                reply.headers["Log-Position"],
                row["status_after"],
                str(row["version_after"]),
            )
        rows = system.rows("SELECT allocation_id, status, version, connection_id, quantity FROM allocation")
        found = {str(row["allocation_id"]): row for row in rows}
        assert self.finals == {allocation: found[allocation]["status"] for allocation in self.finals}
        applied = Counter(str(row["subject_id"]) for row in journal.values() if row["outcome"] == "applied")
        assert {allocation: row["version"] for allocation, row in found.items()} == applied
        cleared = {str(row["connection_id"]): row["quantity"] for row in rows if row["status"] == "cleared"}
        accounts = system.rows("SELECT connection_id, available, held FROM account WHERE sequence > 0")
        assert cleared == {str(row["connection_id"]): row["available"] for row in accounts}
        assert len(cleared) == len(system.rows("SELECT 1 FROM ledger"))
        assert self.finals, "nothing was ever answered"


async def entered(stack: AsyncExitStack, *ingresses: BitGo) -> list[BitGo]:
    return [await stack.enter_async_context(each) for each in ingresses]
