"""Three Kafka nodes on this machine that replicate to each other: the loss of any one of them loses nothing.

Each is broker and controller, a child process with a folder of its own (`kafka-1` to `kafka-3`), and is killed, stopped
and started like a single one. Whether there is one or there are three is settled at a data folder's first start.
"""

import asyncio
from pathlib import Path
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from local.child import Child
from local.kafka import Kafka, Seat, new_cluster_id
from local.ready import is_listening, wait_until
from local.report import LocalError, Report

NODES: Final = 3
"""The smallest number of which one can be missing while a record still has two copies."""
ANSWER_MS: Final = 2000


class Cluster:
    """`prepare`, then start `children()`, then `wait_ready`; `close` when they have ended."""

    def __init__(self, data: Path, jars: Path, report: Report, *, archive: Path | None = None) -> None:
        """Take `data` as the folder of the whole stack, and `archive` from `local.archive`."""
        seats = [Seat(number, NODES) for number in range(1, NODES + 1)]
        self.nodes = [Kafka(data, jars, report, archive=archive, seat=seat) for seat in seats]
        self._report = report

    @property
    def bootstrap(self) -> str:
        return ",".join(node.bootstrap for node in self.nodes)

    async def prepare(self) -> None:
        """Hold the folders, choose the ports, write the settings, format what is not. Raises LocalError."""
        for node in self.nodes:
            await node.take()
        cluster_id = next(filter(None, map(cluster_id_of, self.nodes)), None) or new_cluster_id()
        await asyncio.gather(*(node.format(self.voters, cluster_id) for node in self.nodes))

    @property
    def voters(self) -> str:
        return ",".join(node.voter for node in self.nodes)

    def children(self) -> list[Child]:
        return [node.child() for node in self.nodes]

    async def wait_ready(self, timeout_seconds: float = 90) -> None:
        """Wait until all nodes are there and each has all that is replicated; raises LocalError after the timeout."""
        await wait_until(self._is_whole, "Kafka", self.nodes[0].log, self._report, timeout_seconds)

    def close(self) -> None:
        """Let another process have the folders."""
        for node in self.nodes:
            node.close()

    async def _is_whole(self) -> bool:
        listening = [await is_listening(node.ports["broker"]) for node in self.nodes]
        return all(listening) and await is_whole(self.bootstrap, len(self.nodes))


async def is_whole(bootstrap: str, nodes: int) -> bool:
    """Whether so many nodes belong to the cluster, and every copy of every partition is in sync."""
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=ANSWER_MS)
    try:
        await client.start()
        cluster = await client.describe_cluster()
        topics = await client.describe_topics()
    except (KafkaError, OSError, TimeoutError):
        return False
    finally:
        await client.close()
    return len(cluster["brokers"]) == nodes and all(
        partition["leader"] >= 0 and len(partition["isr"]) == len(partition["replicas"])
        for topic in topics
        for partition in topic["partitions"]
    )


def cluster_id_of(node: Kafka) -> str | None:
    """What a node was formatted for."""
    file = node.folder / "data" / "meta.properties"
    lines = file.read_text().splitlines() if file.exists() else []
    return next((line.partition("=")[2] for line in lines if line.startswith("cluster.id=")), None)


def check_nodes(data: Path, nodes: int) -> None:
    """Raises LocalError when the folder was begun with another number of brokers."""
    begun = 1 if (data / "kafka").exists() else NODES if any(data.glob("kafka-*")) else nodes
    if begun != nodes:
        raise LocalError(
            f"{data} was begun with --brokers {begun}, and its records are where that put them: "
            f"start with --brokers {begun}, or use another folder"
        )
