"""One order at a time, and what is left open cleared at a settlement: outside of any scenario, in the same ledger."""

import random
import secrets
import uuid
from collections.abc import Awaitable, Callable
from typing import Final

from bitgo.client import BitGo
from bitgo.simulator.client_orders import Account, ClientOrder, new_id, order_from
from bitgo.simulator.connecting import connected_account
from bitgo.simulator.conversation import Conversation
from bitgo.simulator.editions import Edition
from bitgo.simulator.ledger import Ledger
from bitgo.simulator.order_book import OrderBook
from bitgo.simulator.run import Partner, reach
from bitgo.simulator.scenario import Finish, Scenario
from bitgo.simulator.tally import Tally
from bitgo.simulator.wire import Wire
from schemas.words import Kind

RUN: Final = "order"
ACCOUNTS_NAMESPACE: Final = uuid.UUID("0f7c8a39-3f0e-4c53-8f6f-1f2f5d1f4e11")
WELL_BEHAVED: Final = Scenario(name=RUN, seed=0, about="one order, without any trouble", in_turn=False)


def account_of(name: str) -> Account:
    """The same ids for the same name, in every ledger."""
    client_id, connection_id = (str(uuid.uuid5(ACCOUNTS_NAMESPACE, f"{what} {name}")) for what in ("client", "account"))
    return Account(client_id, connection_id, name, f"client-{name}")


async def placed(
    ledger: Ledger,
    partner: Partner,
    kind: Kind,
    quantity: int,
    currency: str,
    account: str,
    finish: Finish,
    edition: Edition = Edition.SEED,
) -> tuple[ClientOrder, list[str]]:
    """Order, until it is finished; gives what was answered against the contract too. Raises UnreachableError."""
    book, dice = OrderBook(ledger, RUN), random.Random(secrets.token_bytes(16))  # noqa: S311 - ids
    async with BitGo(partner.url, partner.keys[0], partner.base_path) as bitgo:
        await reach(bitgo)
        owner = account_of(account)
        if partner.operator_token is not None:
            owner = await connected_account(owner, ledger, bitgo, partner.operator_token)
        order = ClientOrder(
            number=book.next_number(),
            kind=kind,
            allocation_id=new_id(dice),
            account=owner,
            currency=currency,
            quantity=quantity,
            edition=edition,
            partner_allocation_id=new_id(dice),
            finish=finish,
        )
        tally = Tally()
        conversation = Conversation(order, WELL_BEHAVED, book, Wire(bitgo, partner.keys, tally))
        await conversation.begin()
        await conversation.finish()
    return order, list(tally.last_differences)


def clearing(ledger: Ledger, bitgo: BitGo) -> Callable[[frozenset[str]], Awaitable[None]]:
    """What BitGo does before it settles: everything that these connections left open is cleared at the partner."""
    wire = Wire(bitgo, [bitgo.key], Tally())

    async def clear(connection_ids: frozenset[str]) -> None:
        rows = ledger.database.execute(
            "SELECT run, plan, connection_id FROM orders JOIN allocations USING (allocation_id)"
            " WHERE status = 'reserved' AND step = 'done' ORDER BY run, number"
        ).fetchall()
        for row in rows:
            if row["connection_id"] in connection_ids:
                book = OrderBook(ledger, row["run"])
                await Conversation(order_from(row["plan"]), WELL_BEHAVED, book, wire).clear_open()

    return clear
