"""Whether a recorded verdict can be what policy said of the balance that was recorded with it (contract, section 3)."""

from typing import Final

from processor.domain.journal import JournalRow
from schemas.words import Kind, Rejection, Verb

_APPROVED: Final = "approved"


def verdict_problem(row: JournalRow) -> str:
    """What is wrong with the verdict on a deallocation, whose balance is always checked; empty when nothing is."""
    if row.event is None or row.facts is None or (row.kind, row.verb) != (Kind.DEALLOCATION, Verb.RESERVE):
        return ""
    policy = row.facts.get("policy")
    if policy is None:
        return "a deallocation was decided without a verdict"
    available, asked = int(row.facts["account"]["availableBefore"]), int(row.event["amount"]["quantity"])
    if policy["verdict"] == _APPROVED and available < asked:
        return f"a deallocation of {asked} was approved, with {available} available"
    if policy.get("reason") == Rejection.INSUFFICIENT_BALANCE and available >= asked:
        return f"a deallocation of {asked} was rejected for its balance, with {available} available"
    return ""
