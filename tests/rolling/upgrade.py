"""A rolling upgrade under load: two ingresses and two processors are replaced one by one, by those of another tree.

Processors first, because a newer one reads what an older ingress writes, and not always the other way round
(docs/upgrades.md); on the way back ingresses first. Each process is stopped in order, started again under its name, its
instance id and its port, and the next one waits until it is ready and the balancer knows it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from bitgo.client import BitGo, load_private_key
from local.credentials import development_key
from tests.faults.run.caller import Caller
from tests.faults.run.history import History
from tests.faults.run.stories import LIMIT, LIMITED, Stories, World
from tests.rolling.balancer import CHECK_SECONDS, FALL, HAPROXY, Balancer, Haproxy, OwnBalancer
from tests.rolling.trees import Tree
from tests.rolling.verbs import migrated, refused
from tests.support.system import System

DRAIN_SECONDS: Final = CHECK_SECONDS * FALL + 1
WARM_UP_SECONDS: Final = 2.0
SETTLE_SECONDS: Final = CHECK_SECONDS * 3
LAST_STORIES_SECONDS: Final = 60.0
INGRESSES: Final = ("ingress-0", "ingress-1")
PROCESSORS: Final = ("processor-0", "processor-1")


class NewConnections(BitGo):
    """A BitGo that opens a connection for each request."""

    def headers(self, **claims: Any) -> dict[str, str]:
        return super().headers(**claims) | {"Connection": "close"}


@dataclass(frozen=True)
class Replaced:
    """`stop_seconds` from the signal to the end, `ready_seconds` from the start to the first 200 of /readyz.

    `silence_seconds`: the longest time, from the signal until all answered again, in which a partition gave no answer.
    """

    name: str
    tree: str
    stop_seconds: float
    ready_seconds: float
    silence_seconds: float


@dataclass
class Upgrade:
    """Two of each on `system`, behind a balancer; `replaced` says how each replacement went."""

    system: System
    history: History
    random: Random
    clients: int
    own_balancer: bool = False
    replaced: list[Replaced] = field(default_factory=list)
    balancer_name: str = ""
    no_way_back: str = ""
    """Why the older tree does not start on the migrated database."""

    async def run(self, older: Tree, newer: Tree, *, rounds: int = 1, back: bool = True) -> None:
        """Start all of `older`; then, under load: migrate, replace all by `newer`, and by `older` again."""
        async with self.under_load(older):
            for _ in range(rounds):
                await self._there(newer)
                if back:
                    await self._back(older)

    @asynccontextmanager
    async def under_load(self, tree: Tree) -> AsyncIterator[None]:
        """Two of each of `tree` run, and callers call, until the block ends and their last stories do."""
        async with AsyncExitStack() as exits:
            for name in (*PROCESSORS, *INGRESSES):
                await self._start(name, tree, wait=False)
            for name in (*PROCESSORS, *INGRESSES):
                await self.system.ready(name)
            balancer = await self._balancer(exits)
            over = asyncio.Event()
            clients = await self._clients(exits, balancer.url, over)
            exits.push_async_callback(_cancelled, clients)
            await asyncio.sleep(WARM_UP_SECONDS)
            yield
            over.set()
            _, late = await asyncio.wait(clients, timeout=LAST_STORIES_SECONDS)
            assert not late, f"{len(late)} callers had no answer for {LAST_STORIES_SECONDS:.0f} s"
            await asyncio.gather(*clients)

    async def _there(self, newer: Tree) -> None:
        await migrated(self.system, newer)
        await self.replace_all(newer)

    async def replace_all(self, tree: Tree) -> None:
        for name in (*PROCESSORS, *INGRESSES):
            await self._replace(name, tree)

    async def _back(self, older: Tree) -> None:
        self.no_way_back = await refused(self.system, older)
        if not self.no_way_back:
            for name in (*INGRESSES, *PROCESSORS):
                await self._replace(name, older)

    async def _balancer(self, exits: AsyncExitStack) -> Balancer:
        ports = [self.system.port(name) for name in INGRESSES]
        haproxy = HAPROXY is not None and not self.own_balancer
        balancer: Balancer = (
            Haproxy(self.system.supervisor, self.system.folder / "haproxy", ports) if haproxy else OwnBalancer(ports)
        )
        await balancer.start()
        exits.push_async_callback(balancer.stop)
        self.balancer_name = balancer.name
        await asyncio.sleep(SETTLE_SECONDS)
        return balancer

    async def _clients(self, exits: AsyncExitStack, url: str, over: asyncio.Event) -> "list[asyncio.Task[None]]":
        key = load_private_key(development_key(self.system.folder)[0].read_bytes())
        world = World(Random(self.random.random()))
        clients = []
        for number in range(self.clients):
            caller_type = NewConnections if number % 2 else BitGo
            bitgo = await exits.enter_async_context(caller_type(url, key))
            caller = Caller(number, bitgo, self.history, Random(self.random.random()))
            clients.append(asyncio.create_task(Stories(caller, world).tell(over)))
        return clients

    async def _start(self, name: str, tree: Tree, *, wait: bool = True) -> None:
        self.system.tree = tree.folder
        if name in PROCESSORS:
            await self.system.processor(name, wait=wait, limits=f'{{"{LIMITED}": "{LIMIT}"}}')
        else:
            await self.system.ingress(name, wait=wait, drain_seconds=str(DRAIN_SECONDS))

    async def _replace(self, name: str, tree: Tree) -> None:
        began = time.monotonic()
        await self.system.supervisor.remove(name)
        stopped = time.monotonic()
        assert (name, 0) == self.system.ended[-1], f"{name} ended with status {self.system.ended[-1][1]}"
        await self._start(name, tree)
        ready = time.monotonic()
        await asyncio.sleep(SETTLE_SECONDS)
        await asyncio.wait_for(self.history.all_answer(time.monotonic()), 60)
        silence = self.history.silence(began, time.monotonic())
        replaced = Replaced(name, tree.name, stopped - began, ready - stopped, silence)
        print(replaced, flush=True)
        self.replaced.append(replaced)


async def _cancelled(tasks: "Sequence[asyncio.Task[None]]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
