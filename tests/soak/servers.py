"""What a production system runs on: three brokers, and a Postgres with a synchronous standby behind one address."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from local.archive import ensure_archive
from local.cluster import Cluster, cluster_id_of
from local.jars import ensure_jars
from local.supervisor import Supervisor
from tests.failover.pair import Pair, pair

GONE_SECONDS: Final = 20.0
WHOLE_SECONDS: Final = 120


@dataclass
class Servers:
    supervisor: Supervisor
    cluster: Cluster
    postgres: Pair

    async def fail_over(self) -> None:
        """The primary is killed, its standby promoted, and what was the primary becomes the new standby."""
        await self.postgres.fail_over()
        await asyncio.sleep(GONE_SECONDS)
        await self.postgres.follow()
        await self.postgres.wait_for_the_standby()

    async def lose_a_broker(self, random: Random) -> None:
        """Killed, and its disk with it; another takes its number, with nothing, after some time."""
        node, *others = random.sample(self.cluster.nodes, len(self.cluster.nodes))
        cluster_id = cluster_id_of(others[0])
        assert cluster_id is not None
        await self.supervisor.remove(node.name)
        await asyncio.to_thread(shutil.rmtree, node.folder / "data")
        await asyncio.sleep(GONE_SECONDS)
        await node.format(self.cluster.voters, cluster_id)
        self.supervisor.start(node.child())
        await self.cluster.wait_ready(WHOLE_SECONDS)


@asynccontextmanager
async def servers(folder: Path) -> AsyncIterator[Servers]:
    """All run, and the standby is waited for."""
    jars = await asyncio.to_thread(ensure_jars, print)
    cluster = Cluster(folder / "kafka", jars, print, archive=await ensure_archive(jars, print))
    async with Supervisor(print) as supervisor, pair(folder / "postgres") as postgres:
        await cluster.prepare()
        for child in cluster.children():
            supervisor.start(child)
        await cluster.wait_ready(WHOLE_SECONDS)
        await postgres.wait_for_the_standby()
        yield Servers(supervisor, cluster, postgres)
    cluster.close()
