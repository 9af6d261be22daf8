"""Deciding a record again with the facts recorded at the time (decisions 4 and 5)."""

from processor.domain.account import Account
from processor.domain.batch import Batch, Read
from processor.domain.machine import Verdict
from processor.domain.policy import APPROVED_UNASKED
from schemas.commands import Reserve
from schemas.events import AccountFact, Facts


class Recorded:
    """A judge that returns the recorded verdict. `facts` None: none was recorded."""

    def __init__(self) -> None:
        self.facts: Facts | None = None

    @property
    def version(self) -> str:
        return self.facts.policy.settings_version if self.facts and self.facts.policy else ""

    def judge(self, _command: Reserve, _account: Account | None) -> Verdict:
        if self.facts is None or self.facts.policy is None:
            return APPROVED_UNASKED
        return Verdict(self.facts.policy.reason, evaluated=True)


def account_before(fact: AccountFact) -> Account:
    """The account as a decision found it."""
    return Account(
        fact.connection_id, fact.currency, fact.sequence - 1, int(fact.available_before), int(fact.held_before)
    )


def replay(batch: Batch, recorded: Recorded, each: Read, facts: Facts | None) -> None:
    """Add a record to the batch, whose judge is `recorded`, with the facts of its decision.

    Raises ArithmeticError when by these facts a balance would fall below zero.
    """
    recorded.facts = facts
    if facts is not None and facts.account is not None:
        before = account_before(facts.account)
        batch.accounts[before.key] = before
    batch.add(each)
