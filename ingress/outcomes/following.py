"""The background work behind outcomes: listening for notifications, and polling the watermarks."""

import asyncio
import contextlib
from typing import Final

from ingress import metrics
from ingress.outcomes.hints import Hints
from ingress.outcomes.outcomes import Outcomes
from ingress.postgres.database import Connection
from schemas.notifications import decode_notification
from service.errors import UnavailableError
from service.failures import is_passing
from service.health import Health
from service.logs import logger
from service.postgres import connect
from service.settings import ServiceSettings

POLL_SECONDS: Final = 0.1
IDLE_POLL_SECONDS: Final = 1.0
RECONNECT_SECONDS: Final = 0.5
NOTIFICATIONS: Final = "notifications"
TABLES: Final = "postgres"

_log = logger("ingress")


async def listen(settings: ServiceSettings, outcomes: Outcomes, hints: Hints, health: Health) -> None:
    """Listen for commits, until cancelled. Without it the poll finds outcomes, a tenth of a second later."""
    while True:
        try:
            async with await connect(settings, "allocations-ingress-listen") as connection:
                await connection.execute("SELECT listen_to_outcomes()")
                hints.wanted.set()
                health.well(NOTIFICATIONS)
                await _hear(connection, outcomes)
            words = "the connection ended"
        except Exception as error:
            if not is_passing(error):
                raise
            words = str(error).strip()
        health.degraded(NOTIFICATIONS, f"lost, answers take 0.1 s longer: {words}")
        _log.warning("notifications_lost", error=words)
        await asyncio.sleep(RECONNECT_SECONDS)


async def _hear(connection: Connection, outcomes: Outcomes) -> None:
    async for notify in connection.notifies():
        try:
            notification = decode_notification(notify.payload)
        except ValueError as error:
            metrics.FOREIGN_NOTIFICATIONS.inc()
            _log.warning("foreign_notification", error=str(error))
        else:
            outcomes.hear(notification)


async def poll(outcomes: Outcomes, hints: Hints, health: Health) -> None:
    """Poll ten times a second while a request waits, else once a second to know whether Postgres answers."""
    while True:
        try:
            await outcomes.poll()
            health.well(TABLES)
        except UnavailableError as error:
            health.problem(TABLES, f"Postgres does not answer: {error}")
            _log.warning("postgres_unavailable", error=str(error))
        await asyncio.sleep(POLL_SECONDS)
        if not hints.are_awaited():
            hints.wanted.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(IDLE_POLL_SECONDS):
                    await hints.wanted.wait()
