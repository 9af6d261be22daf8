"""What a platform's own policy is written with: `(request, facts) → Approve | Reject` (docs/policy.md).

For import by platforms. Standard library only, and nothing of the service's behind it.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

REASON: Final = re.compile(r"[a-z_]{1,64}")


@dataclass(frozen=True, slots=True)
class Request:
    """A reserve that BitGo asks for. `quantity` in base units; `recorded_at` is the log's time of it, in UTC."""

    kind: Literal["allocation", "deallocation"]
    allocation_id: str
    currency: str
    quantity: int
    client_id: str
    connection_id: str
    partners_connection_id: str
    recorded_at: datetime
    partner_client_id: str | None = None
    client_external_id: str | None = None
    initiated_by: str | None = None
    notes: str | None = None
    evaluation_id: str | None = None
    pending_approval_id: str | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """What BitGo activated; `version` counts its changes."""

    version: int
    client_id: str
    partners_client_id: str
    partners_connection_id: str
    activated_at: datetime


@dataclass(frozen=True, slots=True)
class Facts:
    """What is true at the decision, in base units. None is what the decision does not rest on.

    `available`, `held`: of a deallocation's account. `connection`: where connections are registered.
    `client_day_total`, `connection_day_total`: reserved so far on that day (UTC), of the request's kind and currency;
    where the daily limit of that currency is configured.
    """

    available: int | None = None
    held: int | None = None
    connection: Connection | None = None
    client_day_total: int | None = None
    connection_day_total: int | None = None


@dataclass(frozen=True, slots=True)
class Approve:
    """The reserve may pass; a deallocation if its balance allows."""


@dataclass(frozen=True, slots=True)
class Reject:
    """`reason`: [a-z_], 1 to 64 characters, and none of the service's own words. BitGo reads it as rejectionReason."""

    reason: str
