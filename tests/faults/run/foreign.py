"""Others who reach Kafka or Postgres: records that are no commands, transactions on the log, false notifications."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Any, Final, LiteralString

import psycopg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.records import encode_command, key_of
from schemas.topics import Topics, partition_of
from tests.checker.dead_letters import FOREIGN_HEADER
from tests.checker.findings import Verdict
from tests.faults.run.administrator import administrator
from tests.faults.run.stage import Stage
from tests.support.dead_letters import reserve

LARGE_BYTES: Final = (2_000_000, 3_000_000)
REQUEST_BYTES: Final = 8 << 20
KAFKA_SECONDS: Final = 15.0
KAFKA_RETRY_SECONDS: Final = 0.2
EVENTS_AFTER_SECONDS: Final = 2.0
EVENTS_WITHIN_SECONDS: Final = 30.0
TRANSACTION_TIMEOUT_MS: Final = 3_000
PAYLOAD_BYTES: Final = 7_999
"""The most that Postgres takes."""
BURST: Final = 500
PER_SECOND: Final = 100

_NOTIFY: Final[LiteralString] = "SELECT pg_notify(%s, payload) FROM unnest(%s::text[]) AS payload"


async def large_record(stage: Stage, random: Random) -> float:
    """Packed, the commands topic takes it; unpacked, no topic would."""
    at = time.monotonic()
    size = random.randint(*LARGE_BYTES)
    async with _producer(stage, compression_type="gzip", max_request_size=REQUEST_BYTES) as producer:
        await _send(producer, stage, random, (random.randbytes(16) * (size // 16 + 1))[:size])
    await asyncio.sleep(EVENTS_AFTER_SECONDS)
    await _events_go_on(stage)
    return at


async def transaction(stage: Stage, random: Random) -> float:
    """Its markers take offsets of the log. One that is left open is closed by the broker, some seconds later."""
    at = time.monotonic()
    name, end = f"foreign-{random.getrandbits(64):x}", random.choice(("commit", "abort", "leave open"))
    limits = {"transactional_id": name, "transaction_timeout_ms": TRANSACTION_TIMEOUT_MS}
    async with _producer(stage, **limits) as producer:
        await producer.begin_transaction()
        for _ in range(random.randint(2, 6)):
            if random.random() < 0.5:
                await _send(producer, stage, random, random.randbytes(random.randint(0, 200)))
            else:
                await _send_command(producer, stage)
        if end == "commit":
            await producer.commit_transaction()
        elif end == "abort":
            await producer.abort_transaction()
        else:
            await asyncio.sleep(random.uniform(2, 6))
    return at


@asynccontextmanager
async def _producer(stage: Stage, **options: Any) -> AsyncIterator[AIOKafkaProducer]:
    """What fails of it is the other fault's doing: then less is written."""
    producer = AIOKafkaProducer(bootstrap_servers=stage.kafka.bootstrap, acks="all", **options)
    with suppress(KafkaError, TimeoutError):
        try:
            async with asyncio.timeout(KAFKA_SECONDS):
                await producer.start()
                yield producer
        finally:
            with suppress(KafkaError, TimeoutError):
                await asyncio.wait_for(producer.stop(), KAFKA_SECONDS)


async def _send(producer: AIOKafkaProducer, stage: Stage, random: Random, value: bytes) -> None:
    key = random.choice([None, b"", b"foreign", random.randbytes(40)])
    where = {"partition": random.randrange(stage.partitions), "headers": [(FOREIGN_HEADER, b"\xff")]}
    await producer.send_and_wait(Topics().commands, value, key=key, **where)


async def _send_command(producer: AIOKafkaProducer, stage: Stage) -> None:
    """Whatever becomes of its transaction, it is a command without an answer: once in effect, or not at all."""
    command, trace = reserve(), uuid.uuid4().hex
    key, value = key_of(command.allocation_id), encode_command(command)
    call = {"trace": trace, "client": -1, "kind": command.kind, "verb": "reserve", "id": command.allocation_id}
    stage.foreign_calls.append(
        call | {"body": json.loads(value), "jti": str(uuid.uuid4()), "start": time.monotonic(), "error": "foreign"}
    )
    where = {"partition": partition_of(key, stage.partitions), "headers": [("traceparent", _traceparent(trace))]}
    await producer.send_and_wait(Topics().commands, value, key=key, **where)


def _traceparent(trace: str) -> bytes:
    return f"00-{trace}-{trace[:16]}-01".encode()


async def _events_go_on(stage: Stage) -> None:
    """Clients call all the time: some event is published from now on."""
    try:
        async with asyncio.timeout(EVENTS_WITHIN_SECONDS):
            while not await _sees_an_event(stage):
                await asyncio.sleep(KAFKA_RETRY_SECONDS)
    except TimeoutError:
        words = f"no event was published within {EVENTS_WITHIN_SECONDS:.0f} s after a foreign record"
        stage.findings.add(Verdict.EVENT, "events behind a foreign record", words)


async def _sees_an_event(stage: Stage) -> bool:
    """Waits for the next one. False when the broker went away, which is the other fault's doing."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=stage.kafka.bootstrap,
        enable_auto_commit=False,
        auto_offset_reset="latest",
        isolation_level="read_committed",
    )
    try:
        await consumer.start()
        consumer.assign([TopicPartition(Topics().events, partition) for partition in range(stage.partitions)])
        while not await consumer.getmany(timeout_ms=200):
            pass
    except KafkaError:
        return False
    finally:
        await consumer.stop()
    return True


async def false_notifications(stage: Stage, random: Random) -> float:
    """A burst in one transaction, then more of them, one at a time; also on a channel whose name is a secret."""
    at = time.monotonic()
    until = at + random.uniform(2, 5)
    lies = _lies(random, stage.partitions)
    while time.monotonic() < until:
        with suppress(psycopg.OperationalError):  # another fault took Postgres away
            channels = await _channels(stage)
            async with await psycopg.AsyncConnection.connect(stage.stranger_url, autocommit=True) as connection:
                for channel in channels:
                    await connection.execute(_NOTIFY, (channel, [next(lies) for _ in range(BURST)]))
                while time.monotonic() < until:
                    await connection.execute(_NOTIFY, (random.choice(channels), [next(lies)]))
                    await asyncio.sleep(1 / PER_SECOND)
        await asyncio.sleep(0.1)
    return at


async def _channels(stage: Stage) -> list[str]:
    """What a stranger may guess, and what none can: a notification is a hint there too."""
    async with await administrator(stage.postgres) as connection:
        try:
            rows = await (await connection.execute("SELECT name FROM notification_channel")).fetchall()
        except psycopg.errors.UndefinedTable:
            rows = []
    return ["watermark", *(row[0] for row in rows)]


def _lies(random: Random, partitions: int) -> Iterator[str]:
    """Positions far ahead and in the past, outcomes that nobody wrote, and what is no notification, for ever."""
    while True:
        yield _notice(dict.fromkeys(range(partitions), random.randrange(10**9, 10**18)))
        yield _notice(dict.fromkeys(range(partitions), random.randrange(-(10**6), 2)))
        yield _notice({random.randrange(10**9): 10**30, -1: 5})
        place = {"partition": random.randrange(partitions), "offset": 0}
        yield _notice({}, [place | {"command_id": str(uuid.uuid4()), "outcome": "applied", "content": None}])
        yield _notice({0: 1}, [{"partition": {}, "offset": [], "command_id": "", "content": random.random()}])
        yield random.choice(
            ["", "{", "null", "[]", "{}", '{"next":[],"outcomes":{}}', '{"next":{"x":"y"}}', "\u00e9" * 9]
        )
        yield "".join(random.choices('[{,"0', k=PAYLOAD_BYTES))
        yield _notice(dict.fromkeys(range(partitions), 10**17)).ljust(PAYLOAD_BYTES)


def _notice(next_offsets: dict[int, int], outcomes: list[Any] | None = None) -> str:
    return json.dumps({"next": next_offsets, "outcomes": outcomes or []})
