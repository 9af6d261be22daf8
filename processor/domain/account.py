"""Balances and double entry: which transition moves what between which accounts (contract, section 3, balances)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from schemas.words import Kind, Status


class Book(StrEnum):
    """The sides of a ledger row. `custody` is BitGo's, `trading` the platform's: both outside the client's balance."""

    CUSTODY = "custody"
    AVAILABLE = "available"
    HELD = "held"
    TRADING = "trading"


AccountKey = tuple[str, str]
"""Connection id and currency."""


class Account(NamedTuple):
    """A client's balance in one currency, in base units. `sequence` counts the decisions that read or moved it."""

    connection_id: str
    currency: str
    sequence: int = 0
    available: int = 0
    held: int = 0

    @property
    def key(self) -> AccountKey:
        return self.connection_id, self.currency


@dataclass(frozen=True, slots=True)
class Movement:
    """One ledger row: `quantity` base units leave `debit` and arrive at `credit`."""

    debit: Book
    credit: Book
    quantity: int


MOVEMENTS: Final[Mapping[tuple[Kind, Status], tuple[Book, Book]]] = MappingProxyType(
    {
        (Kind.ALLOCATION, Status.CLEARED): (Book.CUSTODY, Book.AVAILABLE),
        (Kind.DEALLOCATION, Status.RESERVED): (Book.AVAILABLE, Book.HELD),
        (Kind.DEALLOCATION, Status.CLEARED): (Book.HELD, Book.CUSTODY),
        (Kind.DEALLOCATION, Status.RELEASED): (Book.HELD, Book.AVAILABLE),
    }
)
"""The debit and credit of each transition. A transition that is not listed moves nothing."""

READS_ACCOUNT: Final = frozenset({*MOVEMENTS, (Kind.DEALLOCATION, Status.REJECTED)})
"""Transitions whose decision read or moved an account: each takes the next number of its sequence (decision 5)."""


def movement_of(kind: Kind, status: Status, quantity: int) -> Movement | None:
    """The movement that a transition to `status` causes."""
    books = MOVEMENTS.get((kind, status))
    return Movement(*books, quantity) if books else None


def adjustment_of(quantity: int) -> Movement:
    """The movement of a signed change: what the client won comes from trading, what he lost goes there (section 9)."""
    if quantity > 0:
        return Movement(Book.TRADING, Book.AVAILABLE, quantity)
    return Movement(Book.AVAILABLE, Book.TRADING, -quantity)


def apply_decision(account: Account, movement: Movement | None) -> Account:
    """The account after a decision that read it and, with a movement, changed it.

    Raises ArithmeticError when a balance would fall below zero, which no decision of the machine asks for.
    """
    available, held = account.available, account.held
    if movement is not None:
        available += movement.quantity * ((movement.credit is Book.AVAILABLE) - (movement.debit is Book.AVAILABLE))
        held += movement.quantity * ((movement.credit is Book.HELD) - (movement.debit is Book.HELD))
    if available < 0 or held < 0:
        raise ArithmeticError(f"a balance of {account.key} would fall below zero")
    return account._replace(sequence=account.sequence + 1, available=available, held=held)
