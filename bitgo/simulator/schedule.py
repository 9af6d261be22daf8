"""In which sequence orders are begun and finished.

In turn: each connection is a queue of its own, of which one item is worked on at a time. Otherwise all orders are one
queue, of which as many are worked on at once as there are workers.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bitgo.simulator.client_orders import ClientOrder
from bitgo.simulator.scenario import Scenario


@dataclass(frozen=True)
class Item:
    """An order that is begun, finished, or both. What is only finished was begun by an earlier item of its queue."""

    order: ClientOrder
    begins: bool
    finishes: bool


def queues(orders: Iterable[ClientOrder], scenario: Scenario) -> list[deque[Item]]:
    if not scenario.in_turn:
        return [deque([item]) for item in sequence(orders, scenario)]
    by_connection: dict[str, list[ClientOrder]] = {}
    for order in orders:
        by_connection.setdefault(order.account.connection_id, []).append(order)
    return [deque(sequence(each, scenario)) for each in by_connection.values()]


def sequence(orders: Iterable[ClientOrder], scenario: Scenario) -> Iterator[Item]:
    """Late orders are finished after `late_by` others were begun; with settlements, all at once after so many."""
    waiting: list[tuple[int, ClientOrder]] = []
    for position, order in enumerate(orders, 1):
        due = position + order.late_by
        if scenario.settlement_every:
            due = -(-position // scenario.settlement_every) * scenario.settlement_every
        is_late = due > position or scenario.settlement_every is not None
        yield Item(order, begins=True, finishes=not is_late)
        if is_late:
            waiting.append((due, order))
        yield from (Item(each, begins=False, finishes=True) for at, each in waiting if at <= position)
        waiting = [(at, each) for at, each in waiting if at > position]
    yield from (Item(order, begins=False, finishes=True) for _, order in waiting)
