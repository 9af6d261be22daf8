"""The metrics of an ingress."""

from functools import cache
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_REQUESTS: Final = Counter("ingress_requests", "Requests answered", ["method", "route", "status", "code"])
_SECONDS: Final = Histogram(
    "ingress_request_seconds",
    "From the request's head to the answer",
    ["method", "route"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
IN_FLIGHT: Final = Gauge("ingress_requests_in_flight", "Authenticated requests that are not answered yet")
UNAUTHORIZED: Final = Counter("ingress_unauthorized", "Requests denied, by reason", ["reason"])
CONNECTIONS: Final = Gauge("ingress_connections", "Open connections")
CLOSED: Final = Counter("ingress_connections_closed", "Connections closed without an answer, by reason", ["reason"])
MALFORMED: Final = Counter("ingress_malformed_requests", "Requests that are no HTTP, answered 400")
FOREIGN_NOTIFICATIONS: Final = Counter("ingress_foreign_notifications", "Notifications that can not be read")
NOT_PRUNED: Final = Counter("ingress_prune_failures", "Times that used tokens could not be deleted")
ABANDONED: Final = Gauge(
    "ingress_database_calls_abandoned", "Calls that Postgres has not answered yet and nobody waits for any more"
)
CERTIFICATE_EXPIRES: Final = Gauge(
    "ingress_tls_certificate_expires_timestamp_seconds",
    "When the certificate that callers see ends, Unix time",
    ["file"],
)
NOT_RELOADED: Final = Counter("ingress_reload_failures", "Replaced files that could not be used", ["what"])
BATCH_ADJUSTMENTS: Final = Counter("ingress_batch_adjustments", "Adjustments in batches, by result", ["code"])
_OUTCOMES: Final = Counter(
    "ingress_outcomes", "Outcomes of writes, by where they came from: notification or table", ["by"]
)
FROM_NOTIFICATION: Final = _OUTCOMES.labels("notification")
FROM_TABLE: Final = _OUTCOMES.labels("table")


@cache
def requests(method: str, route: str, status: int, code: str) -> Counter:
    """The counter for these labels, looked up once: the lookup costs more than counting."""
    return _REQUESTS.labels(method, route, status, code)


@cache
def seconds(method: str, route: str) -> Histogram:
    return _SECONDS.labels(method, route)
