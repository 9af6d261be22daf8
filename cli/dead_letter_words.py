"""Dead letters as lines and as JSON."""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from replay.dead_letters import Content, DeadLetter, RefusedError
from replay.printable import printable
from replay.retried import command_of
from schemas.fields import utc_milliseconds
from schemas.records import key_of
from schemas.topics import partition_of

SHOWN_BYTES: Final = 4_096
KEY_BYTES: Final = 48


def prospect_of(content: Content, partitions: int) -> str:
    """What `retry` would do."""
    try:
        command = command_of(content)
    except RefusedError as error:
        return f"would be refused: {safe(str(error))}"
    key = key_of(command.subject_id)
    return f"would publish the {command.verb} of {key.decode()} on partition {partition_of(key, partitions)}"


def line(letter: DeadLetter) -> str:
    place = f"{letter.partition}/{letter.offset}"
    size = "no value" if letter.value_bytes is None else f"{letter.value_bytes} bytes"
    key = printable(letter.key, KEY_BYTES)
    return f"{place:>12}  {_at(letter.recorded_at)}  {letter.reason:17}  {letter.state:9}  {size:>13}  key {key}"


def rows(letter: DeadLetter, content: Content, prospect: str) -> Iterator[tuple[str, str]]:
    yield "place", f"partition {letter.partition}, offset {letter.offset}"
    yield "recorded", _at(letter.recorded_at)
    yield "reason", letter.reason
    yield "key", printable(content.key, SHOWN_BYTES)
    for name, value in content.headers:
        yield "header", f"{safe(name)}: {printable(value, SHOWN_BYTES)}"
    yield "value", printable(content.value, SHOWN_BYTES)
    yield "state", letter.state
    if done := letter.handled:
        yield "by", f"{safe(done.taken_by)}, {_at(done.taken_at)}" + (f": {safe(done.reason)}" if done.reason else "")
        if done.command_id:
            place = f"partition {done.partition}, offset {'unknown' if done.offset is None else done.offset}"
            yield "published", f"command {done.command_id}, {place}: {done.outcome or 'not applied yet'}"
    else:
        yield "retry", prospect


def document(letter: DeadLetter) -> dict[str, Any]:
    found = {
        "partition": letter.partition,
        "offset": letter.offset,
        "recordedAt": utc_milliseconds(letter.recorded_at),
        "reason": letter.reason,
        "state": letter.state,
        "key": None if letter.key is None else printable(letter.key, KEY_BYTES),
        "valueBytes": letter.value_bytes,
    }
    if done := letter.handled:
        found |= {
            "by": done.taken_by,
            "at": utc_milliseconds(done.taken_at),
            "why": done.reason,
            "commandId": done.command_id,
            "retriedPartition": done.partition,
            "retriedOffset": done.offset,
            "outcome": done.outcome,
        }
    return found


def bytes_document(content: Content) -> dict[str, Any]:
    return {
        "keyBase64": _base64(content.key),
        "valueBase64": _base64(content.value),
        "headersBase64": [[name, _base64(value)] for name, value in content.headers],
    }


def _base64(content: bytes | None) -> str | None:
    return None if content is None else base64.b64encode(content).decode()


def _at(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")


def safe(text: str) -> str:
    return printable(text.encode("utf-8", "backslashreplace"), SHOWN_BYTES)
