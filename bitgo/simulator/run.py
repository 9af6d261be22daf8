"""A scenario from its first order to the comparison at the end. What is in the ledger already is continued."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import aiohttp
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from bitgo.client import BitGo
from bitgo.simulator.client_orders import ClientOrder, client_orders
from bitgo.simulator.compare import Comparison, UnreachableError, compare
from bitgo.simulator.connecting import connected
from bitgo.simulator.conversation import Conversation
from bitgo.simulator.editions import Edition
from bitgo.simulator.judge import NOT_FOUND
from bitgo.simulator.ledger import Ledger
from bitgo.simulator.order_book import OrderBook
from bitgo.simulator.scenario import Scenario
from bitgo.simulator.schedule import Item, queues
from bitgo.simulator.tally import Tally
from bitgo.simulator.wire import Wire

NOBODY: Final = "00000000-0000-4000-8000-000000000000"
"""An id that is never ordered: the first call asks for it."""


@dataclass(frozen=True)
class Partner:
    """Where the partner is, and how it is called. The first key signs; others have their turn when keys rotate.

    `operator_token`: of an operator of this product, who may issue connection tokens.
    """

    url: str
    keys: Sequence[RSAPrivateKey] = field(repr=False)
    enterprise_id: str = "enterprise"
    base_path: str = "/bitgo/v1"
    operator_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Report:
    run: str
    orders: int
    calls: int
    seconds: float
    comparison: Comparison
    differences: list[str]
    """Of the answers and of the comparison."""


async def run(
    scenario: Scenario,
    ledger: Ledger,
    partner: Partner,
    tally: Tally | None = None,
    *,
    orders_per_second: float | None = None,
    ready: Callable[[Wire], object] = lambda _: None,
) -> Report:
    """`ready` is given the wire before the first order, to rotate keys on request.

    Raises UnreachableError when the partner does not answer, LedgerError when the ledger has other orders.
    """
    tally = tally or Tally()
    tally.scenario, tally.orders = scenario.run, scenario.orders
    book, started = OrderBook(ledger, scenario.run), time.monotonic()
    async with BitGo(partner.url, partner.keys[0], partner.base_path, scenario.timeout_seconds) as bitgo:
        await reach(bitgo)
        orders = await connected(list(client_orders(scenario)), scenario, ledger, bitgo, partner.operator_token)
        wire = Wire(bitgo, partner.keys, tally, scenario.rotate_every)
        ready(wire)
        await _work(_Run(scenario, book, wire, orders_per_second), orders)
        comparison = await compare(book, bitgo, partner.enterprise_id, _editions(scenario, orders))
    for what in comparison.differences:
        tally.differs(what)
    differences = book.differences() + comparison.differences
    return Report(scenario.run, len(orders), tally.calls, time.monotonic() - started, comparison, differences)


async def reach(bitgo: BitGo) -> None:
    """Raises UnreachableError, with what is in the way."""
    path = f"{bitgo.base_path}/allocation/{NOBODY}"
    try:
        reply = await bitgo.call("GET", path)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise UnreachableError(f"{bitgo.url} does not answer: {error or type(error).__name__}") from error
    if reply.status == 401:  # noqa: PLR2004
        raise UnreachableError(f"{bitgo.url} answers 401: it does not know the public key that belongs to this one")
    if reply.status not in (NOT_FOUND, 503):
        raise UnreachableError(f"{bitgo.url} answers {reply.status} to GET {path} where 404 is due: is it the partner?")


class _Run:
    """The state that the workers share."""

    def __init__(self, scenario: Scenario, book: OrderBook, wire: Wire, orders_per_second: float | None) -> None:
        self.scenario = scenario
        self.book = book
        self.wire = wire
        self._open: dict[str, Conversation] = {}
        self._begun: dict[str, asyncio.Event] = {}
        self._interval_seconds = 1 / orders_per_second if orders_per_second else 0.0
        self._next_start = time.monotonic()

    async def worker(self, ready: deque[deque[Item]]) -> None:
        """Takes a queue, does its next item, and puts it back behind the others."""
        while ready:
            queue = ready.popleft()
            await self._do(queue.popleft())
            if queue:
                ready.append(queue)

    async def _do(self, item: Item) -> None:
        order = item.order
        if item.begins:
            await self._pace()
            self.wire.tally.begun += 1
            begun = self._begun[order.allocation_id] = asyncio.Event()
            conversation = self._open[order.allocation_id] = Conversation(order, self.scenario, self.book, self.wire)
            await conversation.begin()
            begun.set()
        if item.finishes:
            await self._begun.pop(order.allocation_id).wait()
            await self._open.pop(order.allocation_id).finish()
            self.wire.tally.ended += 1

    async def _pace(self) -> None:
        now = time.monotonic()
        self._next_start = max(self._next_start, now - 1) + self._interval_seconds
        if self._next_start > now:
            await asyncio.sleep(self._next_start - now)


async def _work(shared: _Run, orders: list[ClientOrder]) -> None:
    ready = deque(queues(orders, shared.scenario))
    async with asyncio.TaskGroup() as tasks:
        for _ in range(shared.scenario.at_once):
            tasks.create_task(shared.worker(ready))


def _editions(scenario: Scenario, orders: list[ClientOrder]) -> dict[str, frozenset[Edition]]:
    every = frozenset(scenario.editions)
    return {order.allocation_id: every if scenario.edition_changes else frozenset({order.edition}) for order in orders}
