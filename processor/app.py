"""Wires the processor together: Faust, the batcher, the relay, the watchdog, the health port. Nothing else wires."""

import asyncio
import tempfile
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from typing import Any, Final

from aiokafka import ConsumerRecord
from faust.auth import SASLCredentials, SSLCredentials
from mode.supervisors import CrashingSupervisor

from processor.apply import Applier
from processor.batch import Batch, Record
from processor.batcher import Batcher
from processor.rejections import Rejections
from processor.relay import Relay
from processor.settings import ProcessorSettings
from processor.store import Store
from processor.transport import App
from processor.watchdog import Watchdog
from service.background import keep_running
from service.health import Health, health_port
from service.log_checks import LogIdentity
from service.logs import logger
from service.process import stop_requested, unless
from service.start import check_assignment, check_start, when_possible

SESSION_TIMEOUT_SECONDS: Final = 6.0
HEARTBEAT_SECONDS: Final = 1.0
"""Members learn of a rebalance by their heartbeats, and it waits for the last of them."""
STOP_SECONDS: Final = 5.0

_log = logger("processor")


async def run(settings: ProcessorSettings) -> None:
    """Apply commands until a stop is requested. Raises OperatorError, or whatever made going on unsafe."""
    health = Health()
    health.problem("start", "the checks before the first record are not done")
    stop = stop_requested()
    async with health_port(settings, health) as url:
        _log.info("started", metrics=url, instance_id=settings.instance_id)
        identity = await unless(stop, when_possible(lambda: check_start(settings, claim=True), health, "start"))
        if identity is not None:
            await _Processor(settings, identity, health).run(stop)
    _log.info("stopped")


class _Processor:
    def __init__(self, settings: ProcessorSettings, identity: LogIdentity, health: Health) -> None:
        self._settings = settings
        self._health = health
        self._applier = Applier(Store(settings), identity.partitions, settings.policy)
        self._rejections = Rejections(settings)
        self._app = _faust_app(settings)
        self._app.positions, self._app.health = self._assigned, health
        self._batcher = Batcher(settings.topics.commands, self._apply, self._rewind, health)
        self._app.has_room, self._app.room = self._batcher.has_room, self._batcher.room
        self._refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._define_agent()
        health.problem("group", "not a member of the consumer group yet")

    async def run(self, stop: asyncio.Future[None]) -> None:
        """Run all parts until `stop`, then finish the batch in hand; a part that fails takes the others with it."""
        stop.add_done_callback(lambda _: self._batcher.stop())
        watchdog = Watchdog(self._settings, self._app, self._batcher, self._health)
        try:
            async with asyncio.TaskGroup() as tasks:
                others = [
                    tasks.create_task(self._serve_faust()),
                    tasks.create_task(Relay(self._settings, self._health).run()),
                    tasks.create_task(keep_running("watchdog", watchdog.run, self._health)),
                    tasks.create_task(
                        keep_running("rejections", self._examine_rejections, self._health, is_vital=False)
                    ),
                    tasks.create_task(self._wait_refused()),
                ]
                await self._batcher.run()
                for task in others:
                    task.cancel()
        finally:
            await self._applier.close()

    async def _apply(self, records: list[Record], following: list[Record]) -> Batch:
        batch = await self._applier(records, following)
        self._rejections.note(batch)
        return batch

    async def _examine_rejections(self) -> None:
        await self._rejections.examine(self._health)

    async def _serve_faust(self) -> None:
        await self._app.start()
        try:
            await self._app.wait_until_stopped()
            raise RuntimeError("Faust stopped by itself") from self._app.crash_reason
        finally:
            await asyncio.wait_for(self._app.stop(), STOP_SECONDS)

    async def _wait_refused(self) -> None:
        await self._refused

    def _define_agent(self) -> None:
        topic = self._app.topic(
            self._settings.topics.commands,
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
            acks=False,
        )

        async def hand_over(stream: Any) -> None:
            async for event in stream.events():
                await self._batcher.offer([_record(each) for each in event.message.records])

        self._app.agent(topic, name="commands", concurrency=1)(hand_over)
        self._app.on_partitions_revoked.connect(self._forget)
        self._app.on_partitions_assigned.connect(self._joined)

    async def _forget(self, _app: Any, revoked: Any, **_: Any) -> None:
        self._batcher.forget({tp.partition for tp in revoked})

    async def _joined(self, _app: Any, _assigned: Any, **_: Any) -> None:
        self._health.well("group")

    async def _positions(self, partitions: AbstractSet[int]) -> Mapping[int, int]:
        """Where to read from, after the checks; a check that fails ends the process."""
        try:
            positions = await when_possible(
                lambda: check_assignment(self._settings, partitions), self._health, "assignment"
            )
        except Exception as error:
            if not self._refused.done():
                self._refused.set_exception(error)
            raise
        _log.info("assigned", positions=positions)
        return positions

    async def _assigned(self, partitions: AbstractSet[int]) -> Mapping[int, int]:
        positions = await self._positions(partitions)
        self._batcher.forget(partitions)
        return positions

    async def _rewind(self, partition: int) -> None:
        positions = await self._positions({partition})
        await self._app.seek(partition, positions[partition])


def _record(fetched: ConsumerRecord[bytes, bytes]) -> Record:
    return Record(
        partition=fetched.partition,
        offset=fetched.offset,
        recorded_at=datetime.fromtimestamp(fetched.timestamp / 1000, UTC),
        key=fetched.key,
        value=fetched.value,
        headers=list(fetched.headers),
    )


def _faust_app(settings: ProcessorSettings) -> App:
    brokers = [f"aiokafka://{broker.strip()}" for broker in settings.kafka_bootstrap_servers.split(",")]
    app = App(
        settings.group_id,
        broker=brokers,
        broker_credentials=_credentials(settings),
        consumer_group_instance_id=settings.instance_id,
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=SESSION_TIMEOUT_SECONDS,
        broker_heartbeat_interval=HEARTBEAT_SECONDS,
        broker_request_timeout=40.0,
        broker_rebalance_timeout=30.0,
        broker_max_poll_records=1000,
        store="memory://",
        datadir=tempfile.gettempdir(),
        key_serializer="raw",
        value_serializer="raw",
        stream_wait_empty=False,
        stream_buffer_maxsize=4096,
        agent_supervisor=CrashingSupervisor,
        table_standby_replicas=0,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        worker_redirect_stdouts=False,
    )
    app.commands_topic = settings.topics.commands
    return app


def _credentials(settings: ProcessorSettings) -> Any:
    protocol = settings.kafka_security_protocol
    context = settings.kafka_ssl_context() if protocol.endswith("SSL") else None
    if protocol.startswith("SASL"):
        password = settings.kafka_sasl_password
        return SASLCredentials(
            username=settings.kafka_sasl_username,
            password=password.get_secret_value() if password else None,
            mechanism=settings.kafka_sasl_mechanism,
            ssl_context=context,
        )
    return SSLCredentials(context=context) if context else None
