"""A connection to Kafka that was reset while something is written to it, on the event loop of our processes."""

import asyncio

import pytest
import uvloop
from aiokafka import conn
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from service.aiokafka_connection import Connection, use
from tests.support.servers import Servers


async def write_after_a_reset(kafka: str) -> None:
    host, port = kafka.split(":")
    connection = await conn.create_conn(host, int(port))
    assert isinstance(connection, conn.AIOKafkaConnection)
    try:
        connection._writer.transport.abort()
        await asyncio.sleep(0)  # by now the transport is closed, and aiokafka's reader has not heard of it
        await connection.send(MetadataRequest([]))
    finally:
        connection.close()


def test_what_aiokafka_does_not_expect_is_said_in_its_words(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conn, "AIOKafkaConnection", Connection.__base__)
    with pytest.raises(RuntimeError, match="the handler is closed"):
        uvloop.run(write_after_a_reset(servers.kafka))
    use()
    assert conn.AIOKafkaConnection is Connection
    with pytest.raises(KafkaConnectionError, match="broken"):
        uvloop.run(write_after_a_reset(servers.kafka))
