"""The AsyncAPI document for consumers of the events topic, made from the models (decision 16)."""

from typing import Any, Final, get_args

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from schemas.events import EVENT_SOURCE, AnyEvent, Event, Facts
from schemas.topics import Topics

_REFERENCE: Final = "#/components/schemas/{model}"
_HEADERS: Final = {
    "ce_specversion": {"const": "1.0"},
    "ce_id": {"type": "string", "description": "topic/partition/offset of the command: unique, the same for ever"},
    "ce_source": {"const": EVENT_SOURCE},
    "ce_type": {"type": "string"},
    "ce_subject": {
        "type": "string",
        "description": "the id of the allocation, connection or adjustment; also the record's key",
    },
    "ce_time": {"type": "string", "format": "date-time"},
    "content-type": {"const": "application/json"},
    "journalhash": {"type": "string", "description": "hash of the journal row, hex"},
}


def document(version: str, topics: Topics) -> dict[str, Any]:
    """One channel, one message for each kind of event."""
    events: tuple[type[Event], ...] = get_args(get_args(AnyEvent)[0])
    models: list[type[BaseModel]] = [*events, Facts]
    _, definitions = models_json_schema([(model, "serialization") for model in models], ref_template=_REFERENCE)
    schemas = definitions["$defs"]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Allocation events",
            "version": version,
            "description": (
                "One event for each applied transition of an allocation, a deallocation or a connection, for each "
                "booked adjustment, and for each refusal that rests on others than its subject; in order per subject. "
                "Consume with isolation.level=read_committed. `version` counts a subject's transitions from 1."
            ),
        },
        "defaultContentType": "application/json",
        "channels": {
            "allocationEvents": {
                "address": topics.events,
                "messages": {event.__name__: {"$ref": f"#/components/messages/{event.__name__}"} for event in events},
            }
        },
        "operations": {
            "receiveAllocationEvents": {"action": "receive", "channel": {"$ref": "#/channels/allocationEvents"}}
        },
        "components": {
            "messages": {event.__name__: _message(event) for event in events},
            "schemas": schemas,
        },
    }


def _message(event: type[Event]) -> dict[str, Any]:
    return {
        "name": event.__name__,
        "title": f"allocations.{event.__name__}",
        "contentType": "application/json",
        "headers": {"type": "object", "properties": _HEADERS},
        "payload": {
            "allOf": [
                {"$ref": _REFERENCE.format(model=event.__name__)},
                {"type": "object", "properties": {"facts": {"$ref": _REFERENCE.format(model="Facts")}}},
            ]
        },
        "bindings": {"kafka": {"key": {"type": "string", "format": "uuid"}}},
    }
