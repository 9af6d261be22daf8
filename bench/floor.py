"""The floor: the same work with nothing around it, in one process: `python -m bench.floor KAFKA POSTGRES KEY`.

No HTTP, no Faust, one process: a token is verified, the command published and acknowledged, consumed, applied in one
transaction with whatever else has come, and its caller woken. What this takes, the product can not save; what the
product takes beyond it is the price of its shape.
"""

import asyncio
import json
import random
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import jwt
import psycopg
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from bench.floor_tables import Connection, Place, apply, read
from bench.load import Timings
from bench.pairs import ACCOUNTS, signed
from bench.worker import Run, serve
from bitgo.client import load_private_key
from service.postgres import KEYED
from service.sql import statements

PARTITIONS: Final = 8
BATCH_MAX_RECORDS: Final = 500


class Floor:
    def __init__(
        self, producer: AIOKafkaProducer, consumer: AIOKafkaConsumer, connection: Connection, key: RSAPrivateKey
    ) -> None:
        self.topic = f"floor-{uuid.uuid4().hex[:8]}"
        self.complete = False
        self._producer = producer
        self._consumer = consumer
        self._connection = connection
        self._public_key = key.public_key()
        self._waiting: dict[Place, asyncio.Future[None]] = {}
        self._applied: set[Place] = set()
        self._claims: list[tuple[str, int]] = []

    async def ask(self, token: str, allocation_id: str, command: dict[str, str]) -> None:
        """One command, from its token to its answer."""
        claims = jwt.decode(token, self._public_key, algorithms=["RS256"], options={"require": ["exp", "jti"]})
        if self.complete:
            self._claims.append((claims["jti"], claims["exp"]))
        value = json.dumps(command).encode()
        metadata = await self._producer.send_and_wait(self.topic, value, key=allocation_id.encode())
        place = metadata.partition, metadata.offset
        if place in self._applied:
            self._applied.remove(place)
            return
        woken = self._waiting[place] = asyncio.get_running_loop().create_future()
        await woken

    async def apply_for_ever(self) -> None:
        self._consumer.assign([TopicPartition(self.topic, number) for number in range(PARTITIONS)])
        while True:
            found = await self._consumer.getmany(timeout_ms=1000, max_records=BATCH_MAX_RECORDS)
            records = [record for some in found.values() for record in some]
            if not records:
                continue
            claims, self._claims = self._claims, []
            await apply(self._connection, records, claims)
            places = [(record.partition, record.offset) for record in records]
            if self.complete and len(await read(self._connection, places)) != len(places):
                raise RuntimeError("an answer is missing")
            for place in places:
                self._wake(place)

    def _wake(self, place: Place) -> None:
        """A command may be applied before its acknowledgement has arrived."""
        woken = self._waiting.pop(place, None)
        if woken is None:
            self._applied.add(place)
        else:
            woken.set_result(None)


async def closed_loop(floor: Floor, tokens: list[str], clients: int) -> Timings:
    timings, waiting = Timings(), iter(range(len(tokens) // 2))
    accounts = [str(uuid.uuid4()) for _ in range(ACCOUNTS)]

    async def client() -> None:
        for _ in waiting:
            allocation_id, started = str(uuid.uuid4()), time.perf_counter()
            content = {"quantity": "5", "currency": "BTC", "connection_id": random.choice(accounts)}
            await floor.ask(tokens.pop(), allocation_id, {"verb": "reserve", "client_id": accounts[0], **content})
            between = time.perf_counter()
            await floor.ask(tokens.pop(), allocation_id, {"verb": "clear"})
            timings.clear.append((time.perf_counter() - between) * 1000)
            timings.reserve.append((between - started) * 1000)

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    timings.seconds = time.perf_counter() - started
    return timings


@asynccontextmanager
async def opened(kafka: str, postgres: str, key: RSAPrivateKey) -> AsyncIterator[Floor]:
    """A floor with a topic and a database of its own, on the same servers."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all", enable_idempotence=True, linger_ms=0)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka, enable_auto_commit=False, auto_offset_reset="earliest", fetch_max_wait_ms=200
    )
    async with await _database(postgres) as connection:
        floor = Floor(producer, consumer, connection, key)
        await _create_topic(kafka, floor.topic)
        await producer.start()
        await consumer.start()
        try:
            yield floor
        finally:
            await consumer.stop()
            await producer.stop()


async def _database(postgres: str) -> Connection:
    name = f"floor_{uuid.uuid4().hex[:8]}"
    async with await psycopg.AsyncConnection.connect(postgres, autocommit=True) as connection:
        await connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))
    url = urlunsplit(urlsplit(postgres)._replace(path=f"/{name}"))
    escaped = {setting: value.replace(" ", "\\ ") for setting, value in KEYED.items()}
    options = " ".join(f"-c {setting}={value}" for setting, value in escaped.items())
    connection = await psycopg.AsyncConnection.connect(url, autocommit=True, options=options)
    await connection.execute(statements("bench")["floor_tables"])
    await connection.execute(
        "INSERT INTO watermark SELECT number, 0 FROM generate_series(0, %s) number", (PARTITIONS - 1,)
    )
    return connection


async def _create_topic(kafka: str, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, PARTITIONS, 1)])
    finally:
        await admin.close()


async def run(kafka: str, postgres: str, key: RSAPrivateKey) -> None:
    async with opened(kafka, postgres, key) as floor:

        async def prepare(job: dict[str, Any]) -> Run:
            tokens, floor.complete = signed(key, 2 * job["pairs"]), job["complete"]

            async def measure() -> dict[str, Any]:
                return (await closed_loop(floor, tokens, job["clients"])).document()

            return measure

        async with asyncio.TaskGroup() as tasks:
            applying = tasks.create_task(floor.apply_for_ever())
            await serve(prepare)
            applying.cancel()


if __name__ == "__main__":
    uvloop.run(run(sys.argv[1], sys.argv[2], load_private_key(Path(sys.argv[3]).read_bytes())))
