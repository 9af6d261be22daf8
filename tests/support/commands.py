"""What every command of a test carries."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def stamps(allocation_id: str, received_at: datetime = NOON) -> dict[str, Any]:
    return {
        "command_id": str(uuid.uuid4()),
        "allocation_id": allocation_id,
        "received_at": received_at,
        "deadline": received_at + timedelta(seconds=15),
    }
