"""Membership in the consumer group that ends when another process has our instance id (KIP-345).

aiokafka's heartbeats do not name the instance, so a member whose place was taken is told that it is unknown, joins
again, and takes the place back: two processes of one name throw each other out, once a second, for ever. A heartbeat of
version 3 names it, and is answered FENCED_INSTANCE_ID. `tests/surroundings/test_instance_ids.py` fails when an upgrade
changes what this leans on.
"""

import asyncio
import os
import re
import socket
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.consumer import consumer
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.group import HeartbeatRequest
from aiokafka.protocol.types import Int16, Int32, Schema, String

from service.errors import UnavailableError
from service.kafka import admin
from service.settings import ServiceSettings

FENCED_INSTANCE_ID: Final = 82
DESCRIBE_SECONDS: Final = 3.0
DESCRIBE_AGAIN_SECONDS: Final = 0.2

_PROCESS: Final = re.compile(rb"process [0-9]+ on [A-Za-z0-9._-]*")
_TEXT: Final = String("utf-8")


class _HeartbeatResponse_v3(Response):  # type: ignore[misc]  # noqa: N801 - aiokafka's way of naming versions
    API_KEY = 12
    API_VERSION = 3
    SCHEMA = Schema(("throttle_time_ms", Int32), ("error_code", Int16))


class _HeartbeatRequest_v3(RequestStruct):  # type: ignore[misc]  # noqa: N801
    API_KEY = 12
    API_VERSION = 3
    RESPONSE_TYPE = _HeartbeatResponse_v3
    SCHEMA = Schema(("group", _TEXT), ("generation_id", Int32), ("member_id", _TEXT), ("group_instance_id", _TEXT))


class _Heartbeat(Request[_HeartbeatRequest_v3]):  # type: ignore[misc]
    API_KEY = 12

    def __init__(self, group: str, generation: int, member_id: str, instance_id: str) -> None:
        self._fields = (group, generation, member_id, instance_id)

    def build(self, request: Any) -> Any:
        return request(*self._fields)


class _Assignor(RoundRobinPartitionAssignor):  # type: ignore[misc]
    """aiokafka's, with the process's number and host for the group to know: of a member that took another's place the
    broker keeps the other's client id and address.
    """

    @classmethod
    def metadata(cls, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        own = f"process {os.getpid()} on {socket.gethostname()}"
        return ConsumerProtocolMemberMetadata(cls.version, list(topics), own.encode())


class _Coordinator(GroupCoordinator):  # type: ignore[misc]
    def __init__(self, *args: Any, when_fenced: Callable[[], None], **options: Any) -> None:
        self._when_fenced = when_fenced
        super().__init__(*args, **options | {"assignors": (_Assignor,)})

    async def _send_req(self, request: Any) -> Any:
        if isinstance(request, HeartbeatRequest):
            request = _Heartbeat(self.group_id, self.generation, self.member_id, self._group_instance_id)
        response = await super()._send_req(request)
        if getattr(response, "error_code", 0) == FENCED_INSTANCE_ID:
            self._when_fenced()
            await asyncio.Event().wait()  # until the process, which ends now, cancels it: a retry would be a new member
        return response


def use(when_fenced: Callable[[], None]) -> None:
    """Install for the one group consumer of this process; `when_fenced` is called when its place was taken."""
    consumer.GroupCoordinator = partial(_Coordinator, when_fenced=when_fenced)


async def check_group(settings: ServiceSettings, group: str) -> None:
    """Raises UnavailableError when the Kafka user may not join the group: Faust would wait for ever and say nothing."""
    async with admin(settings) as client:
        try:
            await client.find_coordinator(group)
        except GroupAuthorizationFailedError:
            raise UnavailableError(f"the Kafka user needs the right Read on the group {group}") from None


async def who_has(settings: ServiceSettings, group: str, instance_id: str) -> str:
    """The process that is the group's member of this instance id: its number and host. While members join, the broker
    does not say.
    """
    try:
        async with asyncio.timeout(DESCRIBE_SECONDS), admin(settings) as client:
            while True:
                if found := await _described(client, group, instance_id):
                    return found[0].decode()
                await asyncio.sleep(DESCRIBE_AGAIN_SECONDS)
    except (KafkaError, OSError, TimeoutError):
        return "Kafka does not say which process it is"


async def _described(client: AIOKafkaAdminClient, group: str, instance_id: str) -> re.Match[bytes] | None:
    described = await client.describe_consumer_groups([group])
    for member_id, _client, _host, metadata, _assignment in described[0].groups[0][5]:
        if member_id.startswith(f"{instance_id}-"):
            return _PROCESS.search(metadata)
    return None
