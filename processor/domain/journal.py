"""One journal row per record of the commands topic, chained by a hash to the row before it (decision 3)."""

import hashlib
from datetime import datetime
from typing import Any, Final, NamedTuple

from processor.domain.machine import Allocation, State
from schemas.fields import utc_milliseconds
from schemas.records import canonical_json
from schemas.words import AdjustmentVerb, ConnectionVerb, Kind, Outcome, Subject, Verb

FIRST_HASH: Final = bytes(32)
TOMBSTONE: Final = "tombstone"


class JournalRow(NamedTuple):
    """What became of one record. A parked record has no command, so everything that a command says is None."""

    partition: int
    offset: int
    recorded_at: datetime
    outcome: Outcome
    command_id: str | None = None
    subject_id: str | None = None
    kind: Kind | Subject | None = None
    verb: Verb | ConnectionVerb | AdjustmentVerb | None = None
    reason: str | None = None
    status_before: str | None = None
    version_before: int | None = None
    status_after: str | None = None
    version_after: int | None = None
    event: dict[str, Any] | None = None
    facts: dict[str, Any] | None = None
    traceparent: str | None = None

    def columns(self) -> dict[str, Any]:
        """The columns that follow from the log: all of them but the trace."""
        return {
            "partition": self.partition,
            "offset": self.offset,
            "command_id": self.command_id,
            "subject_id": self.subject_id,
            "kind": self.kind,
            "verb": self.verb,
            "outcome": self.outcome,
            "reason": self.reason,
            "status_before": self.status_before,
            "version_before": self.version_before,
            "status_after": self.status_after,
            "version_after": self.version_after,
            "event": self.event,
            "facts": self.facts,
            "recorded_at": utc_milliseconds(self.recorded_at),
        }

    def hash(self, previous: bytes) -> bytes:
        """SHA-256 over the previous row's hash and the canonical JSON of `columns`."""
        return hashlib.sha256(previous + canonical_json(self.columns())).digest()


def status_of(state: State) -> str | None:
    if state is None:
        return None
    return state.status if isinstance(state, Allocation) else TOMBSTONE


def version_of(state: State) -> int | None:
    if state is None:
        return None
    return state.version if isinstance(state, Allocation) else 0
