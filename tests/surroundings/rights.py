"""A Kafka with an authorizer, users without rights, and the rights that docs/operations.md lists for them."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest

from local.jars import ensure_jars
from local.kafka import Kafka
from local.ports import reserve_port
from local.supervisor import Supervisor
from schemas.topics import Topics

PASSWORD = "hunter2hunter2"
LITERAL, ALLOW = 3, 3
PROPERTIES: Final = """
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller},APP://127.0.0.1:{app}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker},APP://127.0.0.1:{app}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,APP:SASL_PLAINTEXT
listener.name.app.sasl.enabled.mechanisms=PLAIN
listener.name.app.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
user_processor="{password}" user_ingress="{password}";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
"""


class Resource(IntEnum):
    TOPIC = 2
    GROUP = 3
    TRANSACTIONAL_ID = 5


class Operation(IntEnum):
    READ = 3
    WRITE = 4
    DESCRIBE = 8
    DESCRIBE_CONFIGS = 10


class Right(NamedTuple):
    resource: Resource
    name: str
    operation: Operation


def processor_rights(topics: Topics, group: str) -> list[Right]:
    read, write, configs = Operation.READ, Operation.WRITE, Operation.DESCRIBE_CONFIGS
    relays = (f"{topics.prefix}allocations-relay", f"{topics.prefix}allocations-dead-letters")
    return [
        *on_topic(topics.commands, read, configs),
        *on_topic(topics.events, read, write, configs),
        *on_topic(topics.dead_letters, read, write, configs),
        Right(Resource.GROUP, group, read),
        *(Right(Resource.TRANSACTIONAL_ID, name, each) for name in relays for each in (write, Operation.DESCRIBE)),
    ]


def ingress_rights(topics: Topics) -> list[Right]:
    read, configs = Operation.READ, Operation.DESCRIBE_CONFIGS
    return [
        *on_topic(topics.commands, read, Operation.WRITE, configs),
        *on_topic(topics.events, read, configs),
        *on_topic(topics.dead_letters, Operation.DESCRIBE, configs),
    ]


def on_topic(name: str, *operations: Operation) -> list[Right]:
    return [Right(Resource.TOPIC, name, each) for each in operations]


@dataclass(frozen=True)
class GuardedKafka:
    """`bootstrap` is for the superuser, `guarded` for the users `processor` and `ingress`."""

    bootstrap: str
    guarded: str

    def settings(self, user: str) -> dict[str, str]:
        return {
            "kafka_bootstrap_servers": self.guarded,
            "kafka_security_protocol": "SASL_PLAINTEXT",
            "kafka_sasl_mechanism": "PLAIN",
            "kafka_sasl_username": user,
            "kafka_sasl_password": PASSWORD,
        }

    async def grant(self, user: str, given: Iterable[Right]) -> None:
        client = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await client.start()
        try:
            for resource, name, operation in given:
                asked = CreateAclsRequest(resource, name, LITERAL, f"User:{user}", "*", operation, ALLOW)
                response = await client._send_request(asked)
                assert [0] == [code for code, _ in response.creation_responses], response
        finally:
            await client.close()


@asynccontextmanager
async def guarded_kafka(folder: Path) -> AsyncIterator[GuardedKafka]:
    kafka, app = Kafka(folder, ensure_jars(print), print), reserve_port()
    await kafka.prepare()
    with (kafka.folder / "server.properties").open("a") as properties:
        properties.write(PROPERTIES.format(**kafka.ports, app=app, password=PASSWORD))
    try:
        async with Supervisor(print) as supervisor:
            supervisor.start(kafka.child())
            await kafka.wait_ready()
            yield GuardedKafka(kafka.bootstrap, f"127.0.0.1:{app}")
    finally:
        kafka.close()
