"""Why a reserve is turned down: one pure function over command, account and settings (contract, section 3)."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from processor.domain.account import Account
from processor.domain.connection import Connection, Found
from processor.domain.machine import Verdict
from schemas.commands import Reserve
from schemas.records import canonical_json
from schemas.words import ConnectionStatus, Kind, Rejection


class Judge(Protocol):
    """Returns verdicts and the version of its rules: the policy itself, or in a replay the recorded facts."""

    @property
    def version(self) -> str: ...

    def judge(self, command: Reserve, account: Account | None, connection: Connection | None) -> Verdict: ...

    def found(self, found: Found, holdings: list[Account]) -> tuple[Found | None, list[Account]]:
        """What a change of a connection rests on: what was found, or in a replay what was recorded."""
        ...


class Connections(StrEnum):
    """Whether a reserve must name a connection that BitGo has activated (contract, section 3)."""

    REGISTERED = "registered"
    OPEN = "open"


@dataclass(frozen=True)
class PolicySettings:
    """Rules that are not configured do not apply.

    `currencies` None: all are supported. `limits`: the most that one reserve may ask for, in base units.
    """

    currencies: frozenset[str] | None = None
    limits: Mapping[str, int] = field(default_factory=dict)
    connections: Connections = Connections.OPEN

    @property
    def version(self) -> str:
        """Names these settings in the journal, so that a decision can be traced to what was configured."""
        document = {
            "connections": self.connections,
            "currencies": None if self.currencies is None else sorted(self.currencies),
            "limits": {currency: str(limit) for currency, limit in self.limits.items()},
        }
        return hashlib.sha256(canonical_json(document)).hexdigest()[:12]

    def judge(self, command: Reserve, account: Account | None, connection: Connection | None) -> Verdict:
        return judge(command, account, connection, self)

    def found(self, found: Found, holdings: list[Account]) -> tuple[Found, list[Account]]:
        return found, holdings


APPROVED_UNASKED: Final = Verdict()
"""No rule applied: the verdict for allocations when nothing is configured."""


def judge(
    command: Reserve, account: Account | None, connection: Connection | None, settings: PolicySettings
) -> Verdict:
    """The verdict on a reserve.

    `account` is needed for deallocations, whose balance is always checked, `connection` where they are registered.
    """
    currency = command.amount.currency
    registered = settings.connections is Connections.REGISTERED
    evaluated = (
        registered
        or settings.currencies is not None
        or currency in settings.limits
        or command.kind is Kind.DEALLOCATION
    )
    if not evaluated:
        return APPROVED_UNASKED
    reason = _unconnected(command, connection) if registered else None
    version = (connection.version if connection else 0) if registered else None
    return Verdict(reason or _over_limit(command, account, settings), evaluated=True, connection_version=version)


def _unconnected(command: Reserve, connection: Connection | None) -> Rejection | None:
    if connection is None:
        return Rejection.UNKNOWN_CONNECTION
    if connection.status is not ConnectionStatus.ACTIVE:
        return Rejection.INACTIVE_CONNECTION
    sent, known = command.partner_client_id, connection.partners_client_id
    matches = (
        command.client_id == connection.client_id
        and command.partners_connection_id == connection.partners_connection_id
        and (not sent or sent == known)
    )
    return None if matches else Rejection.CONNECTION_MISMATCH


def _over_limit(command: Reserve, account: Account | None, settings: PolicySettings) -> Rejection | None:
    currency, quantity = command.amount.currency, int(command.amount.quantity)
    if settings.currencies is not None and currency not in settings.currencies:
        return Rejection.UNSUPPORTED_CURRENCY
    if quantity > settings.limits.get(currency, quantity):
        return Rejection.LIMIT_EXCEEDED
    if command.kind is Kind.DEALLOCATION and (account is None or account.available < quantity):
        return Rejection.INSUFFICIENT_BALANCE
    return None
