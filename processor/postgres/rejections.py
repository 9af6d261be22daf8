"""Counts rejected reserves by cause, in the background (contract, section 3, balances)."""

import asyncio
from typing import Final, NamedTuple

from prometheus_client import Counter

from processor.domain.batch import Batch
from processor.domain.journal import JournalRow
from processor.metrics import label_of
from schemas.words import Outcome, Rejection
from service.health import Health
from service.postgres import KEYED, Connection, connect
from service.settings import ServiceSettings
from service.sql import statements

WAITING_MAX: Final = 1000
NOT_EXAMINED: Final = "not_examined"

REJECTIONS: Final = Counter(
    "processor_rejections",
    f"Rejected reserves. The cause is {NOT_EXAMINED} where more than {WAITING_MAX} waited to be examined",
    ["kind", "reason", "cause"],
)

_SQL: Final = statements("processor.postgres")


class Shortfall(NamedTuple):
    """A deallocation that was rejected for lack of balance, in base units."""

    connection_id: str
    currency: str
    quantity: int
    available: int


class Rejections:
    """The cause is `uncleared_allocation` if allocations that are reserved but not cleared would have covered it: a
    different order of BitGo's calls would show there first.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._waiting: asyncio.Queue[Shortfall] = asyncio.Queue(WAITING_MAX)

    def note(self, batch: Batch) -> None:
        """Count the rejections of a committed batch; those for lack of balance once their cause is known."""
        for row, _ in batch.journal:
            if row.outcome is not Outcome.APPLIED or not row.reason:
                continue
            if row.reason == Rejection.INSUFFICIENT_BALANCE and not self._waiting.full():
                self._waiting.put_nowait(_shortfall(row))
            else:
                cause = NOT_EXAMINED if row.reason == Rejection.INSUFFICIENT_BALANCE else ""
                REJECTIONS.labels(row.kind, label_of(row.reason), cause).inc()

    async def examine(self, health: Health) -> None:
        """Find the causes, until cancelled. Raises psycopg.Error."""
        async with await connect(self._settings, "allocations-rejections", KEYED) as connection:
            health.well("rejections")
            while True:
                each, cause = await self._waiting.get(), NOT_EXAMINED
                try:
                    covered = each.available + await _uncleared(connection, each) >= each.quantity
                    cause = "uncleared_allocation" if covered else ""
                finally:
                    REJECTIONS.labels("deallocation", Rejection.INSUFFICIENT_BALANCE, cause).inc()


def _shortfall(row: JournalRow) -> Shortfall:
    event, facts = row.event or {}, row.facts or {}
    amount = event["amount"]
    available = int(facts["account"]["availableBefore"])
    return Shortfall(event["connectionId"], amount["currency"], int(amount["quantity"]), available)


async def _uncleared(connection: Connection, each: Shortfall) -> int:
    """The sum of the account's allocations that are reserved and not cleared, in base units."""
    asked = {"connection_id": each.connection_id, "currency": each.currency}
    row = await (await connection.execute(_SQL["uncleared"], asked)).fetchone()
    return int(row[0]) if row else 0
