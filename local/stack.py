"""Everything on one machine: which processes there are, in which order they start and stop (design, command line)."""

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Collection
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
from aiokafka.errors import KafkaError
from pydantic import SecretStr

from local.child import Child
from local.credentials import development_key, operator_token
from local.folder import hold, release, remembered_ports, write
from local.kafka import Seat
from local.ready import wait_until
from local.report import LocalError, Report
from local.servers import Addresses, remember, start_kafka, start_postgres
from local.supervisor import Change, Supervisor
from service.membership import remove_members
from service.migrations import migrate
from service.postgres_address import check_postgres_address
from service.settings import DEFAULT_GROUP_ID, ServiceSettings
from service.topics import ensure_topics

READY_SECONDS: Final = 60.0
LEAVE_SECONDS: Final = 25.0
"""An ingress finishes what is in flight, which takes as long as its slowest answer."""


@dataclass(frozen=True)
class Options:
    """What `allocations up` was asked for. `kafka` and `postgres` name servers to use instead of embedded ones."""

    data: Path
    port: int | None = None
    ingresses: int = 2
    processors: int = 2
    partitions: int = 8
    bitgo_keys: tuple[Path, ...] = ()
    brokers: int = 1
    kafka: str | None = None
    postgres: str | None = None
    enterprise_id: str = "enterprise"
    topic_prefix: str = ""
    connections: str = "open"
    """Of the processors: on one machine it is for development, unless one asks for `registered`."""


class Stack:
    """A running system. Used as a context manager: inside, everything is ready; outside, nothing is left."""

    def __init__(self, options: Options, report: Report, notify: Callable[[Change], None] = lambda _: None) -> None:
        self.options = options
        self.data = options.data.absolute()
        self.supervisor = Supervisor(report, self._changed)
        self._notify = notify
        self._farewells: set[asyncio.Task[None]] = set()
        self._report = report
        self._exit = AsyncExitStack()
        self._kafka = options.kafka or ""
        self._postgres = options.postgres or ""
        self._socket: socket.socket | None = None
        self._ports: dict[str, int] = {}
        self._private_key: Path | None = None
        self._operator_token = Path()
        self.is_ready = False

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._exit.aclose()
            raise
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._exit.aclose()

    async def stop(self) -> None:
        """Stop in order: ingresses, processors, servers. A second call kills what is left."""
        await self.supervisor.stop(self._named("ingress"), self._named("processor"), [*self._brokers(), "postgres"])

    async def _start(self) -> None:
        """1. the folder   2. the servers   3. the tables and topics   4. our processes   5. until all are ready"""
        _check_address(self._postgres)
        self.data.mkdir(parents=True, exist_ok=True)
        self._exit.callback(release, await hold(self.data / "up", self._report, timeout_seconds=5))
        self._socket = self._exit.enter_context(self._listen())
        await self._exit.enter_async_context(self.supervisor)
        self._exit.push_async_callback(self.stop)
        await asyncio.gather(self._start_kafka(), self._start_postgres())
        self._remember_servers()
        await self._prepare()
        await self._forget_earlier_processors()
        self._start_processes()
        await self._wait_ready()
        self.is_ready = True

    def _listen(self) -> socket.socket:
        """One listening socket for all ingress processes: what one has not accepted, another takes."""
        wanted = 8080 if self.options.port is None else self.options.port
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", wanted))
        except OSError as error:
            if self.options.port is not None:
                listening.close()
                raise LocalError(
                    f"port {wanted} can not be used ({error.strerror}); choose another with --port"
                ) from None
            self._report(f"port {wanted} is taken: another one is used")
            listening.bind(("127.0.0.1", 0))
        listening.listen(1024)
        return listening

    async def _start_kafka(self) -> None:
        if not self.options.kafka:
            brokers = self.options.brokers
            self._kafka = await start_kafka(self.data, brokers, self.supervisor, self._exit, self._report)

    async def _start_postgres(self) -> None:
        if not self.options.postgres:
            self._postgres = await start_postgres(self.data, self.supervisor, self._exit, self._report)

    def _remember_servers(self) -> None:
        given = {"kafka": self.options.kafka, "postgres": self.options.postgres}
        embedded = [name for name, address in given.items() if not address]
        prefix, connections = self.options.topic_prefix, self.options.connections
        brokers = self.options.brokers
        remember(self.data, Addresses(self._kafka, self._postgres, prefix, embedded, connections, brokers))

    async def _prepare(self) -> None:
        applied, created = await asyncio.gather(
            asyncio.to_thread(migrate, self._settings().postgres_address),
            ensure_topics(self._settings(), self.options.partitions, replication=self.options.brokers),
        )
        for name in applied:
            self._report(f"applied migration {name}")
        for name in created:
            self._report(f"created topic {name} with {self.options.partitions} partitions")

    def _settings(self) -> ServiceSettings:
        return ServiceSettings(
            kafka_bootstrap_servers=self._kafka,
            postgres_url=SecretStr(self._postgres),
            postgres_sslmode=os.environ.get("PROCESSOR_POSTGRES_SSLMODE") or None,
            topic_prefix=self.options.topic_prefix,
        )

    async def _forget_earlier_processors(self) -> None:
        """What an earlier run had more of would keep its partitions until the session timeout."""
        file = self.data / "processors"
        names = self._named("processor")
        earlier = file.read_text().split() if file.exists() else []
        await self._forget([name for name in earlier if name not in names])
        write(file, "\n".join(names))

    async def _forget(self, names: list[str]) -> None:
        try:
            if names:
                await remove_members(self._settings(), os.environ.get("PROCESSOR_GROUP_ID", DEFAULT_GROUP_ID), names)
        except (KafkaError, OSError) as error:
            self._report(f"the consumer group still knows {', '.join(names)}, for some seconds: {error}")

    def _changed(self, change: Change) -> None:
        if change.what == "given up" and change.name in self._named("processor"):
            farewell = asyncio.get_running_loop().create_task(self._forget([change.name]))
            self._farewells.add(farewell)
            farewell.add_done_callback(self._farewells.discard)
        self._notify(change)

    def _start_processes(self) -> None:
        self._ports = remembered_ports(self.data, [*self._named("ingress"), *self._named("processor")])
        common = {
            "KAFKA_BOOTSTRAP_SERVERS": self._kafka,
            "POSTGRES_URL": self._postgres,
            "TOPIC_PREFIX": self.options.topic_prefix,
            "METRICS_HOST": "127.0.0.1",
        }
        for name in self._named("processor"):
            own = {"INSTANCE_ID": name, "CONNECTIONS": self.options.connections, "METRICS_PORT": str(self._ports[name])}
            self.supervisor.start(self._child(name, "processor", common | own))
        for name in self._named("ingress"):
            own = {"NAME": name, "METRICS_PORT": str(self._ports[name]), **self._ingress_settings()}
            self.supervisor.start(self._child(name, "ingress", common | own))

    def _ingress_settings(self) -> dict[str, str]:
        assert self._socket is not None  # noqa: S101
        self._operator_token, known = operator_token(self.data)
        keys = self.options.bitgo_keys
        if not keys:
            self._private_key, public = development_key(self.data)
            keys = (public,)
        return {
            "LISTEN_FD": str(self._socket.fileno()),
            "BITGO_PUBLIC_KEY_FILES": ",".join(str(key.absolute()) for key in keys),
            "OPERATOR_TOKENS_FILE": str(known),
            "ENTERPRISE_ID": self.options.enterprise_id,
        }

    def _child(self, name: str, verb: str, settings: dict[str, str]) -> Child:
        fds = (self._socket.fileno(),) if verb == "ingress" and self._socket else ()
        return Child(
            name=name,
            argv=[sys.executable, "-m", "cli", verb],
            log=self.data / "logs" / f"{name}.log",
            env={f"{verb.upper()}_{key}": value for key, value in settings.items()},
            fds=fds,
            stop_timeout_seconds=LEAVE_SECONDS,
        )

    def _brokers(self) -> list[str]:
        return [Seat(number, self.options.brokers).name for number in range(1, self.options.brokers + 1)]

    def _named(self, verb: str) -> list[str]:
        count = self.options.ingresses if verb == "ingress" else self.options.processors
        return [f"{verb}-{number}" for number in range(count)]

    async def _wait_ready(self) -> None:
        self._report("waiting until every process is ready")
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
            for name, port in self._ports.items():
                await wait_until(
                    partial(_is_ready, session, port),
                    name,
                    self.data / "logs" / f"{name}.log",
                    self._report,
                    READY_SECONDS,
                )

    @property
    def kafka(self) -> str:
        return self._kafka

    @property
    def postgres(self) -> str:
        return self._postgres

    @property
    def private_key(self) -> Path:
        """The development key that plays BitGo's; there is none when public keys were given."""
        if self._private_key is None:
            raise LocalError("the stack was started with --bitgo-key: its private key is elsewhere")
        return self._private_key

    @property
    def operator_token(self) -> Path:
        """The file with the token of the operator."""
        return self._operator_token

    @property
    def url(self) -> str:
        assert self._socket is not None  # noqa: S101
        scheme = "https" if "INGRESS_TLS_CERTIFICATE_FILE" in os.environ else "http"
        return f"{scheme}://127.0.0.1:{self._socket.getsockname()[1]}"

    def description(self) -> dict[str, Any]:
        """What `allocations up` prints, as one line of JSON."""
        pids = self.supervisor.pids()
        document: dict[str, Any] = {
            "ingress": self.url,
            "metrics": [f"http://127.0.0.1:{port}/metrics" for port in self._ports.values()],
            "kafka": self._kafka,
            "postgres": self._postgres,
            "data": str(self.data),
            "enterpriseId": self.options.enterprise_id,
            "connections": self.options.connections,
            "operatorTokenFile": str(self._operator_token),
            "pids": {
                "up": os.getpid(),
                "kafka": pids.get("kafka") if self.options.brokers == 1 else _pids_of(pids, self._brokers()),
                "postgres": pids.get("postgres"),
                "ingress": _pids_of(pids, self._named("ingress")),
                "processor": _pids_of(pids, self._named("processor")),
            },
        }
        if self._private_key is not None:
            document["privateKeyFile"] = str(self._private_key)
        return document


def _check_address(postgres: str) -> None:
    try:
        check_postgres_address(postgres)
    except ValueError as error:
        raise LocalError(f"--postgres {error}") from None


def _pids_of(pids: dict[str, int], names: Collection[str]) -> list[int]:
    return [pids[name] for name in names if name in pids]


async def _is_ready(session: aiohttp.ClientSession, port: int) -> bool:
    try:
        async with session.get(f"http://127.0.0.1:{port}/readyz") as response:
            return response.status == 200  # noqa: PLR2004
    except (aiohttp.ClientError, TimeoutError):
        return False
