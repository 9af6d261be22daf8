"""The recorded facts of a decision: from its event, or else from its journal row."""

import json
from typing import Any, Final

from proof.log.snapshot import StoredRow
from proof.log.streams import Published
from schemas.events import Facts

SEQUENCE_MAX: Final = 2**63 - 1


def recorded_facts(event: Published | None, stored: StoredRow | None) -> Facts | None:
    """None if there are none, or none that can be decoded: the comparison then reports a difference."""
    return _of_event(event) or (_facts(stored.row.facts) if stored else None)


def _of_event(event: Published | None) -> Facts | None:
    if event is None or event.value is None:
        return None
    try:
        document = json.loads(event.value)
    except ValueError:
        return None
    return _facts(document.get("facts")) if isinstance(document, dict) else None


def _facts(document: Any) -> Facts | None:
    try:
        facts = Facts.model_validate(document)
    except ValueError:
        return None
    taken = [*(each.sequence for each in facts.all_accounts), *(each.sequence for each in facts.usage or ())]
    if facts.platform_account is not None:
        taken.append(facts.platform_account.sequence)
    return None if max(taken, default=0) > SEQUENCE_MAX else facts
