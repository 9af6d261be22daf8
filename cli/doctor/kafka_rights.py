"""What the Kafka user of a process may do, against docs/operations.md, "Rights in Kafka".

A broker tells a client its own rights on topics and groups (KIP-430). For transactional ids it does not: a request to
end a transaction of a producer that does not exist is refused for a missing right first, and changes nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from enum import IntEnum
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
    TransactionalIdAuthorizationFailed,
    for_code,
)
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.transaction import EndTxnRequest

from cli.doctor.finding import Finding, fail, ok, warn
from cli.doctor.kafka_protocol import DescribeGroups, Metadata
from ingress.settings import IngressSettings
from processor.settings import ProcessorSettings
from service.kafka import admin
from service.settings import ServiceSettings

CHECK: Final = "kafka rights"
GROUPS, TRANSACTIONS = 0, 1
"""FindCoordinator's types of key."""
NO_PRODUCER: Final = 2**63 - 1
AGAIN_SECONDS: Final = 0.2
NOT_YET: Final = (GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError)


class Operation(IntEnum):
    """Kafka's numbers of what a user may do."""

    READ = 3
    WRITE = 4
    CREATE = 5
    DELETE = 6
    ALTER = 7
    DESCRIBE = 8
    DESCRIBE_CONFIGS = 10
    ALTER_CONFIGS = 11

    @property
    def word(self) -> str:
        return "".join(part.capitalize() for part in self.name.split("_"))


R, W, D, C = Operation.READ, Operation.WRITE, Operation.DESCRIBE, Operation.DESCRIBE_CONFIGS
HARMFUL: Final = frozenset({Operation.WRITE, Operation.DELETE, Operation.ALTER, Operation.ALTER_CONFIGS})
"""On a topic, where they are not needed."""


def needed_on_topics(settings: ServiceSettings) -> dict[str, frozenset[Operation]]:
    topics = settings.topics
    if isinstance(settings, IngressSettings):
        return {
            topics.commands: frozenset({R, W, D, C}),
            topics.events: frozenset({R, D, C}),
            topics.dead_letters: frozenset({D, C}),
        }
    expires = isinstance(settings, ProcessorSettings) and settings.reserve_expires_after_seconds is not None
    return {
        topics.commands: frozenset({R, D, C} | ({W} if expires else set())),
        topics.events: frozenset({R, W, D, C}),
        topics.dead_letters: frozenset({R, W, D, C}),
    }


async def check(settings: ServiceSettings) -> list[Finding]:
    async with admin(settings) as client:
        found = list(_topics(await _granted(client, list(needed_on_topics(settings))), settings))
        if isinstance(settings, ProcessorSettings):
            found += [each async for each in _group(client, settings.group_id)]
            for name in ("allocations-relay", "allocations-dead-letters"):
                found += [each async for each in _transactional_id(client, f"{settings.topic_prefix}{name}")]
    return found or [ok(CHECK, "exactly those that are needed")]


def _topics(granted: Mapping[str, frozenset[Operation]], settings: ServiceSettings) -> Iterator[Finding]:
    for name, needed in needed_on_topics(settings).items():
        if missing := sorted(needed - granted[name]):
            yield _missing(missing, f"topic {name}")
        if more := sorted((granted[name] - needed) & HARMFUL):
            words = ", ".join(each.word for each in more)
            yield warn(
                CHECK,
                f"this user may also {words} on topic {name}",
                "take it away, or let the brokers have an authorizer: only an ingress should write commands",
            )


def _missing(missing: list[Operation], where: str) -> Finding:
    words = ", ".join(each.word for each in missing)
    return fail(CHECK, f"this user lacks {words} on {where}", f"`kafka-acls.sh --add`: {words} on {where}")


async def _granted(client: AIOKafkaAdminClient, topics: list[str]) -> dict[str, frozenset[Operation]]:
    response = await client._send_request(Metadata(topics))  # noqa: SLF001 - aiokafka has no public way to send one
    found = {
        topic["topic"]: _operations(topic["operations"]) if not topic["error_code"] else frozenset[Operation]()
        for topic in response.to_object()["topics"]
    }
    return {name: found.get(name, frozenset()) for name in topics}


def _operations(bits: int) -> frozenset[Operation]:
    return frozenset(each for each in Operation if bits >= 0 and bits >> each & 1)


async def _group(client: AIOKafkaAdminClient, group: str) -> AsyncIterator[Finding]:
    granted = frozenset[Operation]()
    with suppress(GroupAuthorizationFailedError):
        described = (await _coordinated(client, DescribeGroups(group), group, GROUPS)).to_object()["groups"][0]
        granted = _operations(described["operations"])
    if R not in granted:
        yield _missing([R], f"group {group}")


async def _transactional_id(client: AIOKafkaAdminClient, name: str) -> AsyncIterator[Finding]:
    request = EndTxnRequest(name, NO_PRODUCER, 0, transaction_result=False)
    try:
        response = await _coordinated(client, request, name, TRANSACTIONS)
    except TransactionalIdAuthorizationFailed:
        yield _missing([W, D], f"transactional id {name}")
        return
    if for_code(response.error_code) is TransactionalIdAuthorizationFailed:
        yield _missing([W], f"transactional id {name}")


async def _coordinated(client: AIOKafkaAdminClient, request: Any, key: str, kind: int) -> Any:
    """The answer of the broker that coordinates `key`, when there is one: Kafka may begin to look when it is asked."""
    while True:
        found = await client._send_request(FindCoordinatorRequest(key, kind))  # noqa: SLF001
        if not found.error_code:
            response = await client._send_request(request, found.coordinator_id)  # noqa: SLF001
            if for_code(_error_code(response)) not in NOT_YET:
                return response
        elif (error := for_code(found.error_code)) not in NOT_YET:
            raise error(f"nobody coordinates {key}")
        await asyncio.sleep(AGAIN_SECONDS)


def _error_code(response: Any) -> int:
    """Of a request for one group, or for one transactional id."""
    document = response.to_object()
    return int(document["groups"][0]["error_code"] if "groups" in document else document["error_code"])
