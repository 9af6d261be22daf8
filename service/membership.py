"""Removing static members from the consumer group, so that their partitions move at once.

aiokafka speaks LeaveGroup up to version 1, which knows no static members; version 3 is described here (KIP-345).
"""

from typing import Any

from aiokafka.errors import NoError, UnknownMemberIdError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Int16, Int32, Schema, String

from service.kafka import admin
from service.settings import ServiceSettings

_TEXT = String("utf-8")


class _LeaveGroupResponse_v3(Response):  # type: ignore[misc]  # noqa: N801 - aiokafka's way of naming versions
    API_KEY = 13
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("members", Array(("member_id", _TEXT), ("group_instance_id", _TEXT), ("error_code", Int16))),
    )


class _LeaveGroupRequest_v3(RequestStruct):  # type: ignore[misc]  # noqa: N801
    API_KEY = 13
    API_VERSION = 3
    RESPONSE_TYPE = _LeaveGroupResponse_v3
    SCHEMA = Schema(("group", _TEXT), ("members", Array(("member_id", _TEXT), ("group_instance_id", _TEXT))))


class _RemoveStaticMembers(Request[_LeaveGroupRequest_v3]):  # type: ignore[misc]
    API_KEY = 13

    def __init__(self, group: str, instance_ids: list[str]) -> None:
        self._group = group
        self._instance_ids = instance_ids

    def build(self, request: Any) -> Any:
        return request(self._group, [("", instance_id) for instance_id in self._instance_ids])


async def remove_members(settings: ServiceSettings, group: str, instance_ids: list[str]) -> None:
    """Remove these members; unknown ones count as removed.

    Raises KafkaError.
    """
    async with admin(settings) as client:
        coordinator = await client.find_coordinator(group)
        response = await client._send_request(_RemoveStaticMembers(group, instance_ids), coordinator)  # noqa: SLF001
    for code in (response.error_code, *(member[2] for member in response.members)):
        error = for_code(code)
        if error not in (NoError, UnknownMemberIdError):
            raise error
