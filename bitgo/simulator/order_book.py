"""The orders' part of the ledger: how far each is, so that a simulator that was killed goes on where it was."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from bitgo.simulator.client_orders import ClientOrder, order_from
from bitgo.simulator.entries import Connection, LedgerStatus, now_milliseconds
from bitgo.simulator.ledger import Ledger, LedgerError
from schemas.words import Verb

PARTNER_ID = "5d2c6f0e-8d0b-4a4e-9a53-0b6a4f1f9c10"
"""BitGo's id of the platform, unless `serve --partner-id` names another."""

Step = Literal["reserve", "clear", "release", "done"]


@dataclass(frozen=True)
class Progress:
    """`step`: what is asked of the partner until it is answered. `known`: whether the partner has it, once that is
    certain; a release that came before its reserve leaves nothing there.
    """

    step: Step
    round: int
    status: LedgerStatus
    partner_allocation_id: str | None
    known: bool | None


class OrderBook:
    def __init__(self, ledger: Ledger, run: str) -> None:
        self.ledger = ledger
        self.run = run

    def place(self, order: ClientOrder) -> Progress:
        """A new order, pending; or how far it is when it is there already.

        Raises LedgerError when another one is there under its id.
        """
        there = self.progress(order.allocation_id)
        if there is not None:
            self._same(order)
            return there
        account = order.account
        connection = Connection(
            account.connection_id,
            account.client_id,
            PARTNER_ID,
            account.partners_connection_id,
            account.partners_client_id,
            "active",
        )
        with self.ledger.transaction() as database:
            if self.ledger.connection(account.connection_id) is None:
                self.ledger.add_connection(connection)
            self.ledger.add_allocation(
                order.kind,
                order.allocation_id,
                account.connection_id,
                order.currency,
                order.quantity,
                partner_allocation_id=order.partner_allocation_id,
            )
            database.execute(
                "INSERT INTO orders (allocation_id, run, number, plan, step) VALUES (?, ?, ?, ?, 'reserve')",
                (order.allocation_id, self.run, order.number, order.document()),
            )
        return Progress("reserve", 0, "pending", order.partner_allocation_id, None)

    def _same(self, order: ClientOrder) -> None:
        row = self.ledger.database.execute(
            "SELECT plan FROM orders WHERE allocation_id = ?", (order.allocation_id,)
        ).fetchone()
        if row["plan"] != order.document():
            raise LedgerError(
                f"order {order.number} of {self.run} is in the ledger with other content: the scenario has changed."
                " Give it another seed, or take another ledger"
            )

    def progress(self, allocation_id: str) -> Progress | None:
        row = self.ledger.database.execute(
            "SELECT step, round, status, partner_allocation_id, known_to_partner FROM orders JOIN allocations"
            " USING (allocation_id) WHERE allocation_id = ?",
            (allocation_id,),
        ).fetchone()
        if row is None:
            return None
        known = None if row["known_to_partner"] is None else bool(row["known_to_partner"])
        return Progress(row["step"], row["round"], row["status"], row["partner_allocation_id"], known)

    def tried(self, allocation_id: str, answer: str) -> None:
        """A try that did not settle it."""
        with self.ledger.transaction() as database:
            database.execute(
                "UPDATE orders SET tries = tries + 1, last_try_at = ?, last_answer = ? WHERE allocation_id = ?",
                (now_milliseconds(), answer, allocation_id),
            )

    def outcome(
        self, allocation_id: str, status: LedgerStatus, reason: str | None, partner_allocation_id: str | None
    ) -> None:
        """What the partner answered to the reserve."""
        with self.ledger.transaction():
            self.ledger.set_status(allocation_id, status, reason, partner_allocation_id)
            self.tried(allocation_id, status)
            if status == "rejected":
                self.done(allocation_id, known=True)

    def decide(self, allocation_id: str, verb: Verb) -> None:
        """BitGo moves its own ledger, and from now on asks for this until it is answered."""
        with self.ledger.transaction() as database:
            reason = None if verb is Verb.CLEAR else "released by BitGo"
            self.ledger.set_status(allocation_id, "cleared" if verb is Verb.CLEAR else "released", reason)
            database.execute("UPDATE orders SET step = ? WHERE allocation_id = ?", (str(verb), allocation_id))

    def done(self, allocation_id: str, *, known: bool | None, answer: str = "", rejected: str | None = None) -> None:
        """`rejected`: what BitGo gave up had been rejected, for this reason."""
        with self.ledger.transaction() as database:
            if rejected is not None:
                self.ledger.set_status(allocation_id, "rejected", rejected)
            if answer:
                self.tried(allocation_id, answer)
            database.execute(
                "UPDATE orders SET step = 'done', known_to_partner = ? WHERE allocation_id = ?",
                (known, allocation_id),
            )

    def reissue(self, allocation_id: str) -> None:
        """The same id is asked for again after it was released."""
        with self.ledger.transaction() as database:
            self.ledger.set_status(allocation_id, "pending")
            database.execute(
                "UPDATE orders SET step = 'reserve', round = round + 1 WHERE allocation_id = ?", (allocation_id,)
            )

    def differs(self, what: str, allocation_id: str | None = None) -> None:
        with self.ledger.transaction() as database:
            database.execute(
                "INSERT INTO differences (allocation_id, what, created_at) VALUES (?, ?, ?)",
                (allocation_id, what, now_milliseconds()),
            )

    def differences(self) -> list[str]:
        """What the partner answered against the contract in this run."""
        rows = self.ledger.database.execute(
            "SELECT what FROM differences JOIN orders USING (allocation_id) WHERE run = ? ORDER BY difference_id",
            (self.run,),
        )
        return [row["what"] for row in rows]

    def orders(self) -> Iterator[ClientOrder]:
        rows = self.ledger.database.execute("SELECT plan FROM orders WHERE run = ? ORDER BY number", (self.run,))
        for row in rows:
            yield order_from(row["plan"])

    def next_number(self) -> int:
        row = self.ledger.database.execute("SELECT max(number) FROM orders WHERE run = ?", (self.run,)).fetchone()
        return 0 if row[0] is None else int(row[0]) + 1

    def count(self) -> Counter[str]:
        """Allocations of this run by status, and orders that are not done yet as 'in flight'."""
        rows = self.ledger.database.execute(
            "SELECT status, step = 'done' AS done, count(*) AS count FROM orders JOIN allocations USING (allocation_id)"
            " WHERE run = ? GROUP BY status, done",
            (self.run,),
        )
        counted: Counter[str] = Counter()
        for row in rows:
            counted[row["status"]] += row["count"]
            if not row["done"]:
                counted["in flight"] += row["count"]
        return counted
