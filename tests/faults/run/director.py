"""Lets the clients work while things break, and measures how long nobody was answered."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from bitgo.client import BitGo, load_private_key
from local.report import Report
from tests.faults.run.caller import Caller
from tests.faults.run.fault import Fault
from tests.faults.run.history import History
from tests.faults.run.schedule import schedule
from tests.faults.run.stage import Stage
from tests.faults.run.stories import Stories, World

WARM_UP_SECONDS: Final = 2.0
CALM_SECONDS: Final = 1.0
SECOND_AFTER_SECONDS: Final = 2.0
RECOVERY_SECONDS: Final = 90.0
LAST_STORIES_SECONDS: Final = 120.0


@dataclass(frozen=True)
class Injected:
    """What was broken, and for how long some partition gave no answer: from `since`, when it should have come back."""

    faults: tuple[Fault, ...]
    began: float
    since: float
    seconds: float

    @property
    def name(self) -> str:
        return " + ".join(fault.name for fault in self.faults)

    @property
    def target_seconds(self) -> float:
        return sum(fault.target_seconds for fault in self.faults)


@dataclass
class Director:
    stage: Stage
    history: History
    random: Random
    report: Report
    clients: int
    pairs: bool = True
    injected: list[Injected] = field(default_factory=list)
    wrong_clocks: list[tuple[float, float]] = field(default_factory=list)

    async def play(self, faults: Sequence[Fault], seconds: float) -> None:
        """Clients and faults for so long; then the clients finish what they began.

        Over before that, when answers do not come back.
        """
        over = asyncio.Event()
        async with AsyncExitStack() as exits:
            world = World(self._another_random())
            stories = [await self._stories(exits, number, world) for number in range(self.clients)]
            clients = [asyncio.create_task(each.tell(over)) for each in stories]
            exits.push_async_callback(_finished, clients)
            await asyncio.sleep(WARM_UP_SECONDS)
            await self._inject_until(faults, time.monotonic() + seconds)
            over.set()
            await asyncio.wait(clients, timeout=LAST_STORIES_SECONDS)

    async def _stories(self, exits: AsyncExitStack, number: int, world: World) -> Stories:
        key = load_private_key(await asyncio.to_thread(Path(self.stage.description["privateKeyFile"]).read_bytes))
        patience = self.random.choice([2.0, 4.0, 8.0, 14.0])
        bitgo = await exits.enter_async_context(BitGo(self.stage.description["ingress"], key, timeout_seconds=patience))
        return Stories(Caller(number, bitgo, self.history, self._another_random()), world)

    async def _inject_until(self, faults: Sequence[Fault], until: float) -> None:
        for chosen in schedule(faults, self.random, pairs=self.pairs):
            if time.monotonic() > until:
                return
            await asyncio.sleep(self.random.uniform(0, CALM_SECONDS))
            if not await self._inject(chosen):
                return

    async def _inject(self, chosen: tuple[Fault, ...]) -> bool:
        """Whether every partition answers again."""
        began = time.monotonic()
        injections = [self._one(fault, n, self._another_random()) for n, fault in enumerate(chosen)]
        since = max(await asyncio.gather(*injections))
        recovered = True
        try:
            async with asyncio.timeout(RECOVERY_SECONDS):
                await self.history.all_answer(max(since, time.monotonic()))
        except TimeoutError:
            recovered = False
            self.report(f"some partition gave no answer for {RECOVERY_SECONDS:.0f} s: nothing more is broken")
        over = time.monotonic()
        injected = Injected(chosen, began, since, self.history.silence(since, over))
        if any(fault.name == "clock-ingress" for fault in chosen):
            self.wrong_clocks.append((began, over))
        self.injected.append(injected)
        self.report(f"{self.history.calls:7d} calls  {injected.name:44} answers again after {injected.seconds:5.2f} s")
        return recovered

    async def _one(self, fault: Fault, number: int, random: Random) -> float:
        await asyncio.sleep(random.uniform(0, SECOND_AFTER_SECONDS) if number else 0)
        return await fault.inject(self.stage, random)

    def _another_random(self) -> Random:
        """So that what one does at its own pace changes nothing for the others: the seed decides."""
        return Random(self.random.random())


async def _finished(clients: Sequence[asyncio.Task[None]]) -> None:
    """Whoever still waits for an answer gives up; an error of theirs is one of the run's."""
    for client in clients:
        client.cancel()
    for ended in await asyncio.gather(*clients, return_exceptions=True):
        if isinstance(ended, Exception):
            raise ended
