"""The notification that a processor sends after a commit: the new watermarks, and the outcomes just written, so that an
ingress need not read them (record 0015).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

NOTIFICATION_MAX_BYTES: Final = 7_900
"""Postgres carries less than 8,000."""
POSITIONS_MAX: Final = 100
CONTENT: Final = (
    *("currency", "quantity", "client_id", "connection_id", "partners_connection_id"),
    *("partner_allocation_id", "partner_client_id", "edition"),
)
"""Columns of an allocation that an answer needs besides its journal row."""
CONNECTION_CONTENT: Final = ("client_id", "partners_client_id", "partners_connection_id")
"""Columns of a connection that an answer needs."""
_FRAME_BYTES: Final = len('{"next":{},"outcomes":[]}')
_POSITION_BYTES: Final = len('"123456":1234567890123456789,')


@dataclass(frozen=True, slots=True)
class Notification:
    """`next_offset` by partition; journal rows by column names, each with those of its allocation or
    connection as `content`.
    """

    next_offsets: Mapping[int, int]
    outcomes: Sequence[Mapping[str, Any]]


def encode_notifications(next_offsets: Mapping[int, int], outcomes: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """As many payloads as needed. Watermarks come last: when they wake a request, its outcome has arrived.

    An outcome too long for a payload is left out; the ingress reads it.
    """
    room = NOTIFICATION_MAX_BYTES - _FRAME_BYTES
    part: list[bytes] = []
    size = 0
    for row in map(orjson.dumps, outcomes):
        if len(row) >= room:
            continue
        if size + len(row) >= room:
            yield _notice({}, part)
            part, size = [], 0
        part.append(row)
        size += len(row) + 1
    positions = list(next_offsets.items())
    if size + _POSITION_BYTES * min(len(positions), POSITIONS_MAX) >= room:
        yield _notice({}, part)
        part = []
    for start in range(0, len(positions), POSITIONS_MAX):
        yield _notice(dict(positions[start : start + POSITIONS_MAX]), part)
        part = []


def _notice(next_offsets: Mapping[int, int], rows: Iterable[bytes]) -> str:
    document = {"next": next_offsets, "outcomes": [orjson.Fragment(row) for row in rows]}
    return orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS).decode()


def decode_notification(payload: str) -> Notification:
    """Raises ValueError for what is no notification."""
    try:
        document = orjson.loads(payload)
        next_offsets = {int(partition): int(offset) for partition, offset in document["next"].items()}
        if not all(isinstance(row["command_id"], str) for row in document["outcomes"]):
            raise ValueError("an outcome without a command id")
        return Notification(next_offsets, document["outcomes"])
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"no notification: {payload:.80}") from error
