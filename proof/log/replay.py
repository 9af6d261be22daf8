"""Deciding a record again with the facts recorded at the time (decisions 4 and 5)."""

from processor.domain.account import Account
from processor.domain.batch import Batch, Read
from processor.domain.connection import Found, PlatformAccount, holds_assets
from processor.domain.machine import Verdict
from processor.domain.policy import APPROVED_UNASKED, Judged, Known
from processor.domain.usage import usages_before
from schemas.commands import Reserve
from schemas.events import AccountFact, Facts, PlatformAccountFact


class Recorded:
    """A judge that returns the recorded verdict. `facts` None: none was recorded."""

    def __init__(self) -> None:
        self.facts: Facts | None = None

    @property
    def version(self) -> str:
        return self.facts.policy.settings_version if self.facts and self.facts.policy else ""

    def judge(self, _command: Reserve, _known: Known) -> Judged:
        if self.facts is None or self.facts.policy is None:
            return APPROVED_UNASKED
        policy = self.facts.policy
        verdict = Verdict(policy.reason, evaluated=True, connection_version=self.facts.connection_version)
        return Judged(verdict, usages_before(self.facts.usage), policy.plug)

    def found(self, found: Found, _holdings: list[Account]) -> tuple[Found | None, list[Account]]:
        """None: nothing was recorded of that platform account, so the decision did not rest on it."""
        fact = self.facts.platform_account if self.facts else None
        if self.facts is None or fact is None or fact.partners_connection_id != found.account.partners_connection_id:
            return None, []
        holdings = [account_before(each) for each in self.facts.accounts or ()]
        return Found(platform_account_before(fact), fact.token_used_before, holds_assets(holdings)), holdings


def account_before(fact: AccountFact) -> Account:
    """The account as a decision found it."""
    return Account(
        fact.connection_id, fact.currency, fact.sequence - 1, int(fact.available_before), int(fact.held_before)
    )


def platform_account_before(fact: PlatformAccountFact) -> PlatformAccount:
    return PlatformAccount(fact.partners_connection_id, fact.sequence - 1, fact.connected_before)


def replay(batch: Batch, recorded: Recorded, each: Read, facts: Facts | None) -> None:
    """Add a record to the batch, whose judge is `recorded`, with the facts of its decision.

    Raises ArithmeticError when by these facts a balance would fall below zero.
    """
    recorded.facts = facts
    for fact in facts.all_accounts if facts is not None else ():
        before = account_before(fact)
        batch.accounts[before.key] = before
    batch.add(each)
