"""What clients order, made from a scenario's seed alone: the same scenario and seed give the very same orders."""

import random
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import orjson

from bitgo.simulator.editions import Content, Edition
from bitgo.simulator.scenario import Finish, Scenario
from schemas.words import Kind

Path = Literal["plain", "give_up", "overtaken"]


@dataclass(frozen=True)
class Account:
    """A connection of a client, with the partner's names for both."""

    client_id: str
    connection_id: str
    partners_connection_id: str
    partners_client_id: str


@dataclass(frozen=True)
class ClientOrder:
    """One allocation or deallocation from its reserve to its end.

    `late_by`: how many further orders are begun before it is finished. `finish_again`: how it ends after a re-issue.
    """

    number: int
    kind: Kind
    allocation_id: str
    account: Account
    currency: str
    quantity: int
    edition: Edition
    partner_allocation_id: str | None
    finish: Finish
    path: Path = "plain"
    late_by: int = 0
    again: bool = False
    finish_again: Finish = "clear"

    def content(self, partner_allocation_id: str | None = None) -> Content:
        """What its reserve says; with the partner's own id when that is known by now."""
        return Content(
            self.kind,
            self.allocation_id,
            self.account.client_id,
            self.account.connection_id,
            self.account.partners_connection_id,
            self.account.partners_client_id,
            self.currency,
            self.quantity,
            partner_allocation_id or self.partner_allocation_id,
            is_minted=self.partner_allocation_id is None,
        )

    def document(self) -> str:
        return orjson.dumps(asdict(self) | {"quantity": str(self.quantity)}).decode()


def order_from(document: str) -> ClientOrder:
    """The other way round of `document()`."""
    values: dict[str, Any] = orjson.loads(document)
    typed = {
        "kind": Kind(values["kind"]),
        "account": Account(**values["account"]),
        "quantity": int(values["quantity"]),
        "edition": Edition(values["edition"]),
    }
    return ClientOrder(**values | typed)


def accounts(scenario: Scenario) -> list[Account]:
    dice = random.Random(f"{scenario.name} {scenario.seed} accounts")  # noqa: S311 - reproducible, not secret
    made = []
    for client in range(scenario.clients):
        client_id = new_id(dice)
        for _ in range(scenario.connections_per_client):
            connection_id = new_id(dice)
            made.append(
                Account(client_id, connection_id, f"account-{connection_id[:8]}", f"client-{client}-{client_id[:8]}")
            )
    return made


def client_orders(scenario: Scenario) -> Iterator[ClientOrder]:
    dice = random.Random(f"{scenario.name} {scenario.seed} orders")  # noqa: S311
    known, planned = accounts(scenario), Counter[tuple[str, str]]()
    for number in range(scenario.orders):
        order = _plain(dice, scenario, number, dice.choice(known), planned)
        order = _troubled(dice, scenario, order)
        _plan(planned, order)
        yield order


def _plain(
    dice: random.Random, scenario: Scenario, number: int, account: Account, planned: Counter[tuple[str, str]]
) -> ClientOrder:
    currency = dice.choice(scenario.currencies)
    quantity = dice.randint(scenario.quantities.least, scenario.quantities.most) * 10**scenario.quantities.zeros
    there = planned[account.connection_id, currency]
    takes, overdraws, takes_all = (
        dice.random() < share for share in (scenario.deallocations, scenario.overdrawn, scenario.take_all)
    )
    kind = Kind.DEALLOCATION if takes and (there or overdraws) else Kind.ALLOCATION
    if kind is Kind.DEALLOCATION:
        quantity = there + quantity if overdraws else there if takes_all else min(quantity, there)
    finish = scenario.finish
    ends: list[Finish] = dice.choices(["clear", "release", "open"], [finish.clear, finish.release, finish.open], k=2)
    return ClientOrder(
        number=number,
        kind=kind,
        allocation_id=new_id(dice),
        account=account,
        currency=currency,
        quantity=quantity,
        edition=dice.choice(scenario.editions),
        partner_allocation_id=new_id(dice) if dice.random() < scenario.partner_ids else None,
        finish=ends[0],
        finish_again=ends[1],
    )


def _troubled(dice: random.Random, scenario: Scenario, order: ClientOrder) -> ClientOrder:
    at, late, again = dice.random(), dice.random() < scenario.late, dice.random() < scenario.again
    overtaken = at < scenario.overtaken
    path: Path = "overtaken" if overtaken else "give_up" if at < scenario.overtaken + scenario.give_up else "plain"
    finish: Finish = order.finish if path == "plain" else "release"
    return replace(order, path=path, finish=finish, late_by=scenario.late_by if late else 0, again=again)


def _plan(planned: Counter[tuple[str, str]], order: ClientOrder) -> None:
    """What the account will come to have, as far as that can be planned."""
    account = order.account.connection_id, order.currency
    if order.kind is Kind.ALLOCATION and order.finish == "clear":
        planned[account] += order.quantity
    if order.kind is Kind.DEALLOCATION and order.finish != "release" and order.quantity <= planned[account]:
        planned[account] -= order.quantity


def new_id(dice: random.Random) -> str:
    return str(uuid.UUID(int=dice.getrandbits(128), version=4))
