"""The Faust application: its settings, and the agent that hands fetches to the batcher (records 0005, 0018)."""

import tempfile
from datetime import UTC, datetime
from typing import Any, Final

from aiokafka import ConsumerRecord
from faust.auth import OAuthCredentials, SASLCredentials, SSLCredentials
from mode.supervisors import CrashingSupervisor

from processor.domain.batch import Record
from processor.kafka.batcher import Batcher
from processor.kafka.transport import App, Positions
from processor.settings import ProcessorSettings
from service.health import Health

SESSION_TIMEOUT_SECONDS: Final = 6.0
"""The least that a broker allows by default: the partitions of a member that was killed wait for as long."""
HEARTBEAT_SECONDS: Final = 1.0
"""Members learn of a rebalance from a heartbeat, and a rebalance waits for all of them: so it is short."""


def faust_app(settings: ProcessorSettings, batcher: Batcher, positions: Positions, health: Health) -> App:
    """An application that is not started yet. `positions` says where each assigned partition is read from."""
    brokers = [f"aiokafka://{broker.strip()}" for broker in settings.kafka_bootstrap_servers.split(",")]
    app = App(
        settings.group_id,
        commands_topic=settings.topics.commands,
        batcher=batcher,
        positions=positions,
        health=health,
        broker=brokers,
        broker_credentials=_credentials(settings),
        consumer_group_instance_id=settings.instance_id,
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=SESSION_TIMEOUT_SECONDS,
        broker_heartbeat_interval=HEARTBEAT_SECONDS,
        broker_request_timeout=40.0,  # joining the group may take as long as a rebalance
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
        topic_disable_leader=True,  # with the line above: no topic but ours, which start checks look at
        web_enabled=False,
        worker_redirect_stdouts=False,
    )
    _define_agent(app, batcher, health)
    return app


def _define_agent(app: App, batcher: Batcher, health: Health) -> None:
    topic = app.topic(
        app.commands_topic,
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
        acks=False,  # Faust tracks no offsets: the position is in Postgres (decision 1)
    )

    async def hand_over(stream: Any) -> None:
        async for event in stream.events():  # its message is a FetchMessage (transport.py)
            await batcher.offer([_record(each) for each in event.message.records])

    async def forget(_app: Any, revoked: Any, **_: Any) -> None:
        batcher.forget({tp.partition for tp in revoked})

    async def joined(_app: Any, _assigned: Any, **_: Any) -> None:
        health.well("group")

    app.agent(topic, name="commands", concurrency=1)(hand_over)
    app.on_partitions_revoked.connect(forget, weak=False)
    app.on_partitions_assigned.connect(joined, weak=False)


def _record(fetched: ConsumerRecord[bytes, bytes]) -> Record:
    return Record(
        partition=fetched.partition,
        offset=fetched.offset,
        recorded_at=datetime.fromtimestamp(fetched.timestamp / 1000, UTC),
        key=fetched.key,
        value=fetched.value,
        headers=list(fetched.headers),
    )


def _credentials(settings: ProcessorSettings) -> Any:
    """The connection options of our other Kafka clients, as Faust takes them."""
    options = settings.kafka_options()
    context = options.get("ssl_context")
    if "sasl_oauth_token_provider" in options:
        return OAuthCredentials(oauth_cb=options["sasl_oauth_token_provider"], ssl_context=context)
    if "sasl_mechanism" in options:
        return SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=context,
        )
    return SSLCredentials(context=context) if context else None
