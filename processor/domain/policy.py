"""Why a reserve is turned down: one pure function over command, account and settings (contract, section 3)."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from processor.domain.account import Account
from processor.domain.machine import Verdict
from schemas.commands import Reserve
from schemas.records import canonical_json
from schemas.words import Kind, Rejection


class Judge(Protocol):
    """Returns verdicts and the version of its rules: the policy itself, or in a replay the recorded facts."""

    @property
    def version(self) -> str: ...

    def judge(self, command: Reserve, account: Account | None) -> Verdict: ...


@dataclass(frozen=True)
class PolicySettings:
    """`currencies` None: all are supported. `limits`: the most that one reserve may ask for, in base units."""

    currencies: frozenset[str] | None = None
    limits: Mapping[str, int] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """Names these settings in the journal, so that a decision can be traced to what was configured."""
        document = {
            "currencies": None if self.currencies is None else sorted(self.currencies),
            "limits": {currency: str(limit) for currency, limit in self.limits.items()},
        }
        return hashlib.sha256(canonical_json(document)).hexdigest()[:12]

    def judge(self, command: Reserve, account: Account | None) -> Verdict:
        return judge(command, account, self)


APPROVED_UNASKED: Final = Verdict()
"""No rule applied: the verdict for allocations when nothing is configured."""


def judge(command: Reserve, account: Account | None, settings: PolicySettings) -> Verdict:
    """The verdict on a reserve. `account` is needed for deallocations, whose balance is always checked."""
    currency, quantity = command.amount.currency, int(command.amount.quantity)
    evaluated = settings.currencies is not None or currency in settings.limits or command.kind is Kind.DEALLOCATION
    if not evaluated:
        return APPROVED_UNASKED
    if settings.currencies is not None and currency not in settings.currencies:
        return Verdict(Rejection.UNSUPPORTED_CURRENCY, evaluated=True)
    if quantity > settings.limits.get(currency, quantity):
        return Verdict(Rejection.LIMIT_EXCEEDED, evaluated=True)
    if command.kind is Kind.DEALLOCATION and (account is None or account.available < quantity):
        return Verdict(Rejection.INSUFFICIENT_BALANCE, evaluated=True)
    return Verdict(evaluated=True)
