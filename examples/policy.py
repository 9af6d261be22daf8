"""A platform's own policy: no allocation above a client's tier, and nothing for whom compliance has named."""

from schemas.policy import Approve, Facts, Reject, Request

VERSION = "2026-11-28"
TIERS = {"BTC": 50 * 10**8, "ETH": 500 * 10**18}
NAMED = frozenset({"8d0b6f1e-5a52-4a39-8f0f-0f4f0e0b7a11"})


def decide(request: Request, facts: Facts) -> Approve | Reject:
    if request.client_id in NAMED:
        return Reject("under_review")
    day = (facts.client_day_total or 0) + request.quantity
    if request.kind == "allocation" and day > TIERS.get(request.currency, 0):
        return Reject("above_tier")
    return Approve()
