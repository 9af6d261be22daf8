"""Why a reserve is turned down: one pure function over command, rows and settings (contract, section 3).

Precedence. BitGo reads one reason, so the order is part of what the platform promises; the first that applies wins:

1. the connection, where connections are registered: `unknown_connection`, `inactive_connection`, `connection_mismatch`
2. the currency: `unsupported_currency`
3. the most that one reserve may ask for: `limit_exceeded`
4. the most of a day, of the connection and then of the client: `limit_exceeded`
5. the platform's own policy: a word of its own, or `policy_failed`
6. the balance of a deallocation: `insufficient_balance`

What is above decides without what is below: a sum of a day is read, and the plug is asked, only where all before them
let the reserve pass. The balance stands last because it is the only reason that passes by itself: a client who is
told of it and brings the balance must not be told of another reason then.

Policy is asked only of a reserve that opens an allocation or opens it again: not of a repeat, nor of what the machine
refuses.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from processor.domain.account import Account
from processor.domain.connection import Connection, Found
from processor.domain.machine import Verdict
from processor.domain.usage import Usage, UsageKey, Usages, usage_key
from schemas import policy as plug
from schemas.commands import Reserve
from schemas.events import PlugFact
from schemas.records import canonical_json
from schemas.words import ConnectionStatus, Kind, Rejection, Scope


class Known(NamedTuple):
    """The rows that a verdict may rest on; of an account, a connection or a sum without a row, nothing."""

    recorded_at: datetime
    account: Account | None = None
    connection: Connection | None = None
    usages: Usages = MappingProxyType({})


class Judged(NamedTuple):
    """A verdict and what it rests on: the sums of the day as they were, and what the plug said."""

    verdict: Verdict
    usages: tuple[Usage, ...] = ()
    plug: PlugFact | None = None


class Judge(Protocol):
    """Returns verdicts and the version of its rules: the policy itself, or in a replay the recorded facts."""

    @property
    def version(self) -> str: ...

    def judge(self, command: Reserve, known: Known) -> Judged: ...

    def found(self, found: Found, holdings: list[Account]) -> tuple[Found | None, list[Account]]:
        """What a change of a connection rests on: what was found, or in a replay what was recorded."""
        ...


Ask = Callable[[plug.Request, plug.Facts], PlugFact]
"""The platform's own policy, as it is asked from here: it always answers, or raises what makes the batch wait."""


class Connections(StrEnum):
    """Whether a reserve must name a connection that BitGo has activated (contract, section 3)."""

    REGISTERED = "registered"
    OPEN = "open"


class OnFailure(StrEnum):
    """What follows when the platform's own policy gives no verdict."""

    REJECT = "reject"
    RETRY = "retry"


@dataclass(frozen=True)
class PolicySettings:
    """Rules that are not configured do not apply.

    `currencies` None: all are supported. `limits`: the most that one reserve may ask for, in base units by currency;
    `client_daily_limits` and `connection_daily_limits`: the most that all of a day may, for either kind by itself.
    `plugged`: whether the platform has a policy of its own.
    """

    currencies: frozenset[str] | None = None
    limits: Mapping[str, int] = field(default_factory=dict)
    connections: Connections = Connections.OPEN
    client_daily_limits: Mapping[str, int] = field(default_factory=dict)
    connection_daily_limits: Mapping[str, int] = field(default_factory=dict)
    plugged: bool = False

    @property
    def version(self) -> str:
        """Names these settings in the journal, so that a decision can be traced to what was configured."""
        document = {
            "connections": self.connections,
            "currencies": None if self.currencies is None else sorted(self.currencies),
            "limits": _digits(self.limits),
            "client_daily_limits": _digits(self.client_daily_limits),
            "connection_daily_limits": _digits(self.connection_daily_limits),
            "plugged": self.plugged,
        }
        return hashlib.sha256(canonical_json(document)).hexdigest()[:12]

    def judge(self, command: Reserve, known: Known) -> Judged:
        return judge(command, known, self)

    def found(self, found: Found, holdings: list[Account]) -> tuple[Found, list[Account]]:
        return found, holdings

    def usage_keys(self, command: Reserve, recorded_at: datetime) -> list[UsageKey]:
        """The sums of a day that limits are configured for: the connection's, then the client's."""
        return [usage_key(scope, command, recorded_at) for scope, _ in self.daily_limits(command.amount.currency)]

    def daily_limits(self, currency: str) -> Iterable[tuple[Scope, int]]:
        both = (Scope.CONNECTION, self.connection_daily_limits), (Scope.CLIENT, self.client_daily_limits)
        return [(scope, limits[currency]) for scope, limits in both if currency in limits]


@dataclass(frozen=True)
class PluggedPolicy:
    """The configured rules and the platform's own."""

    settings: PolicySettings
    ask: Ask

    @property
    def version(self) -> str:
        return self.settings.version

    def judge(self, command: Reserve, known: Known) -> Judged:
        return judge(command, known, self.settings, self.ask)

    def found(self, found: Found, holdings: list[Account]) -> tuple[Found, list[Account]]:
        return found, holdings

    def usage_keys(self, command: Reserve, recorded_at: datetime) -> list[UsageKey]:
        return self.settings.usage_keys(command, recorded_at)


Policy = PolicySettings | PluggedPolicy

APPROVED_UNASKED: Final = Judged(Verdict())
"""No rule applied: the verdict for allocations when nothing is configured."""


def judge(command: Reserve, known: Known, settings: PolicySettings, ask: Ask | None = None) -> Judged:
    """The verdict on a reserve.

    The account is needed for deallocations, whose balance is always checked, the connection where they are registered,
    and the sums of `settings.usage_keys`.
    """
    limits = settings.daily_limits(command.amount.currency)
    if not (ask or limits or _is_evaluated(command, settings)):
        return APPROVED_UNASKED
    registered = settings.connections is Connections.REGISTERED
    version = (known.connection.version if known.connection else 0) if registered else None

    def judged(reason: str | None, usages: tuple[Usage, ...] = (), said: PlugFact | None = None) -> Judged:
        return Judged(Verdict(reason, evaluated=True, connection_version=version), usages, said)

    if registered and (reason := _unconnected(command, known.connection)):
        return judged(reason)
    if reason := _unlisted(command, settings):
        return judged(reason)
    keys = settings.usage_keys(command, known.recorded_at)
    usages = tuple(known.usages.get(key) or Usage(key) for key in keys)
    quantity = int(command.amount.quantity)
    if any(usage.total + quantity > limit for usage, (_, limit) in zip(usages, limits, strict=True)):
        return judged(Rejection.LIMIT_EXCEEDED, usages)
    said = ask(request_of(command, known.recorded_at), facts_of(command, known, usages, settings)) if ask else None
    if said is not None and said.verdict != "approved":
        return judged(said.reason if said.verdict == "rejected" else Rejection.POLICY_FAILED, usages, said)
    short = command.kind is Kind.DEALLOCATION and (known.account is None or known.account.available < quantity)
    return judged(Rejection.INSUFFICIENT_BALANCE if short else None, usages, said)


def _is_evaluated(command: Reserve, settings: PolicySettings) -> bool:
    """Whether one of the rules of a reserve by itself applies to it."""
    return (
        settings.connections is Connections.REGISTERED
        or settings.currencies is not None
        or command.amount.currency in settings.limits
        or command.kind is Kind.DEALLOCATION
    )


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


def _unlisted(command: Reserve, settings: PolicySettings) -> Rejection | None:
    currency, quantity = command.amount.currency, int(command.amount.quantity)
    if settings.currencies is not None and currency not in settings.currencies:
        return Rejection.UNSUPPORTED_CURRENCY
    if quantity > settings.limits.get(currency, quantity):
        return Rejection.LIMIT_EXCEEDED
    return None


def request_of(command: Reserve, recorded_at: datetime) -> plug.Request:
    """A reserve as the plug sees it."""
    return plug.Request(
        kind=command.kind.value,
        allocation_id=command.allocation_id,
        currency=command.amount.currency,
        quantity=int(command.amount.quantity),
        client_id=command.client_id,
        connection_id=command.connection_id,
        partners_connection_id=command.partners_connection_id,
        recorded_at=recorded_at,
        partner_client_id=command.partner_client_id,
        client_external_id=command.client_external_id,
        initiated_by=command.initiated_by,
        notes=command.notes,
        evaluation_id=command.evaluation_id,
        pending_approval_id=command.pending_approval_id,
    )


def facts_of(command: Reserve, known: Known, usages: Iterable[Usage], settings: PolicySettings) -> plug.Facts:
    """What the plug may rest on: rows that the commit guards, and no others."""
    totals = {usage.key.scope: usage.total for usage in usages}
    connection = known.connection if settings.connections is Connections.REGISTERED else None
    rests_on_account = command.kind is Kind.DEALLOCATION
    account = known.account or Account(command.connection_id, command.amount.currency)
    return plug.Facts(
        available=account.available if rests_on_account else None,
        held=account.held if rests_on_account else None,
        connection=connection_fact(connection) if connection else None,
        client_day_total=totals.get(Scope.CLIENT),
        connection_day_total=totals.get(Scope.CONNECTION),
    )


def connection_fact(connection: Connection) -> plug.Connection:
    return plug.Connection(
        connection.version,
        connection.client_id,
        connection.partners_client_id,
        connection.partners_connection_id,
        connection.created_at,
    )


def _digits(limits: Mapping[str, int]) -> dict[str, str]:
    return {currency: str(limit) for currency, limit in limits.items()}
