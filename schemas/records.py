"""Encoding, decoding and keys of everything written to Kafka."""

import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final, NamedTuple

import orjson
from pydantic import TypeAdapter, ValidationError

from schemas import strict_json
from schemas.commands import COMMAND_SCHEMA_VERSION, AnyCommand, Command
from schemas.events import EVENT_SOURCE, AnyEvent, Event, Facts
from schemas.fields import BODY_MAX_BYTES
from schemas.topics import partition_of
from schemas.words import ParkReason

Headers = list[tuple[str, bytes | None]]

COMMAND_MAX_BYTES: Final = BODY_MAX_BYTES
"""No command is longer: it holds what a request may, and less."""

_COMMAND: Final[TypeAdapter[AnyCommand]] = TypeAdapter(AnyCommand)
_EVENT: Final[TypeAdapter[AnyEvent]] = TypeAdapter(AnyEvent)
_VERSION_FIELD: Final = b'"schemaVersion"'
"""Every command of every version has it. To look for it is a thousandth of the work of reading large JSON."""
_VERSION: Final = re.compile(r"[1-9][0-9]{0,8}")
_TRACEPARENT: Final = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class ParkedError(Exception):
    """The record is not a command and becomes a dead letter (decision 14)."""

    def __init__(self, reason: ParkReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class NewerSchemaError(Exception):
    """The record was written by a newer version of this project: its partition must wait for that version."""


class Position(NamedTuple):
    """Where a record stands in the log: `allocation-commands/3/120`."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"

    @classmethod
    def parse(cls, text: str) -> "Position":
        """Raises ValueError when the text is no position."""
        found = re.fullmatch(r"([A-Za-z0-9._-]{1,249})/([0-9]{1,9})/([0-9]{1,18})", text, re.ASCII)
        if found is None:
            raise ValueError("must be topic/partition/offset")
        return cls(found[1], int(found[2]), int(found[3]))


def key_of(subject_id: str) -> bytes:
    return subject_id.encode("ascii")


def encode_command(command: Command) -> bytes:
    return command.model_dump_json(by_alias=True, exclude_none=True).encode()


def decode_command(key: bytes | None, value: bytes | None, partition: int, partitions: int) -> Command:
    """Read a record of the commands topic.

    Raises ParkedError when it is no command, its key is not its id, or it is on another partition than its key's;
    NewerSchemaError when its schema version is above ours.
    """
    command = read_command(value)
    if key != key_of(command.subject_id):
        raise ParkedError(ParkReason.KEY_IS_NOT_ITS_ID, f"the key of {command.subject_id} is {key!r:.80}")
    home = partition_of(key, partitions)
    if partition != home:
        raise ParkedError(ParkReason.WRONG_PARTITION, f"{command.subject_id} belongs on partition {home}")
    return command


def read_command(value: bytes | None) -> Command:
    """The command that a value is, whatever its key and partition. Raises ParkedError, NewerSchemaError."""
    if value is not None and len(value) > COMMAND_MAX_BYTES:
        raise ParkedError(ParkReason.NOT_A_COMMAND, f"no command has {len(value)} bytes")
    if value is None or _VERSION_FIELD not in value:
        raise ParkedError(ParkReason.NOT_A_COMMAND, "it says no schemaVersion")
    try:
        document = strict_json.loads(value)
    except strict_json.NotJsonError as error:
        raise ParkedError(ParkReason.NOT_A_COMMAND, str(error)) from error
    if isinstance(document, dict):
        document["schemaVersion"] = _known_version(document.get("schemaVersion"))
    try:
        return _COMMAND.validate_python(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "record"
        raise ParkedError(ParkReason.NOT_A_COMMAND, f"{where}: {first['msg']}") from error


def _known_version(version: Any) -> int:
    """The schema version as a number, 0 when it is none."""
    if not isinstance(version, strict_json.NumberLiteral) or not _VERSION.fullmatch(version.text):
        return 0
    number = int(version.text)
    if number > COMMAND_SCHEMA_VERSION:
        raise NewerSchemaError(f"schema version {number}; this processor reads up to {COMMAND_SCHEMA_VERSION}")
    return number


def traceparent_of(headers: Any) -> str | None:
    """The W3C trace context of a record, when it has a well-formed one."""
    for name, value in headers or ():
        if name == "traceparent" and isinstance(value, bytes):
            text = value.decode("ascii", "replace")
            return text if is_traceparent(text) else None
    return None


def is_traceparent(text: str) -> bool:
    return _TRACEPARENT.fullmatch(text) is not None


def canonical_json(document: Any) -> bytes:
    """One spelling for one value: sorted keys, no spaces, UTF-8. What hashes are taken over."""
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def event_document(event: Event) -> dict[str, Any]:
    return event.model_dump(mode="json", by_alias=True, exclude_none=True)


def facts_document(facts: Facts) -> dict[str, Any]:
    return facts.model_dump(mode="json", by_alias=True, exclude_none=True)


def encode_event(event: dict[str, Any], facts: dict[str, Any]) -> bytes:
    """The value of a record of the events topic, from the journal's two columns."""
    return canonical_json(event | {"facts": facts})


def decode_event(value: bytes) -> tuple[Event, Facts]:
    """Read a record of the events topic. Raises ValueError (pydantic's ValidationError) when it is none."""
    document = orjson.loads(value)
    facts = Facts.model_validate(document.pop("facts"))
    return _EVENT.validate_python(document), facts


def event_headers(event: dict[str, Any], subject_id: str, position: Position, journal_hash: bytes) -> Headers:
    """CloudEvents 1.0, Kafka binding, binary mode: the attributes are headers, the data is the value."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", str(position).encode()),
        ("ce_source", EVENT_SOURCE.encode()),
        ("ce_type", f"allocations.{event['event']}".encode()),
        ("ce_subject", subject_id.encode()),
        ("ce_time", event["occurredAt"].encode()),
        ("content-type", b"application/json"),
        ("journalhash", journal_hash.hex().encode()),
    ]


def header_name(raw: bytes) -> str:
    """A header's name as text. Kafka means UTF-8 and does not see to it: other bytes are surrogate escapes."""
    return raw.decode("utf-8", "surrogateescape")


def header_name_bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def sendable(headers: Iterable[tuple[str, bytes | None]]) -> Headers:
    """Headers as a producer of ours can write them: bytes of names that are no text become escapes with backslashes."""
    return [(header_name_bytes(name).decode("utf-8", "backslashreplace"), content) for name, content in headers]


def dead_letter_headers(headers: Headers, position: Position, reason: ParkReason) -> Headers:
    return [*headers, ("dead-letter-position", str(position).encode()), ("dead-letter-reason", reason.encode())]


def stub_headers(position: Position, reason: ParkReason, value_bytes: int | None, digest: bytes | None) -> Headers:
    """Headers of a dead letter whose bytes are in the table only: the size and the SHA-256 are those of its value."""
    headers = [*dead_letter_headers([], position, reason), ("dead-letter-stub", b"too large")]
    if value_bytes is None or digest is None:
        return headers
    return [
        *headers,
        ("dead-letter-value-bytes", str(value_bytes).encode()),
        ("dead-letter-value-sha256", digest.hex().encode()),
    ]


def journal_hash_of(headers: Any) -> bytes | None:
    """The hash of the journal row that an event was made from; None if it says none."""
    for name, value in reversed(list(headers or ())):
        if name == "journalhash" and isinstance(value, bytes):
            with suppress(ValueError):
                return bytes.fromhex(value.decode("ascii", "replace"))
    return None


def position_of(headers: Any, header: str) -> Position | None:
    """The position in the commands topic that an event or a dead letter was made from; None for foreign records."""
    for name, value in reversed(list(headers or ())):
        if name == header and isinstance(value, bytes):
            with suppress(ValueError):
                return Position.parse(value.decode("ascii", "replace"))
    return None
