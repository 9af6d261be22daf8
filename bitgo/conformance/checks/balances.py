"""What an account holds, seen by what may be taken back (contract, section 3)."""

from typing import Any, Final

from bitgo.conformance import expect
from bitgo.conformance.check import Group, Need
from bitgo.conformance.probe import Probe
from bitgo.conformance.sources import CONTRACT, GUIDE_DEALLOCATE, SEED_ALLOCATE
from schemas.words import Kind, Status, Verb

GROUP: Final = Group("balance", "Balances", "3", GUIDE_DEALLOCATE, (Need.OWN_ACCOUNT,))
A, D = Kind.ALLOCATION, Kind.DEALLOCATION


async def take(probe: Probe, account: dict[str, Any], quantity: int, currency: str | None = None) -> dict[str, Any]:
    """A deallocation of so much that passes."""
    body = _of(probe, account, quantity, currency)
    await probe.reserve(D, body, expect.RESERVED)
    return body


async def refuse(probe: Probe, account: dict[str, Any], quantity: int = 1, currency: str | None = None) -> None:
    """There is not so much."""
    await probe.reserve(D, _of(probe, account, quantity, currency), probe.rejected)


def _of(probe: Probe, account: dict[str, Any], quantity: int, currency: str | None) -> dict[str, Any]:
    names = ("connectionId", "clientId", "partnersConnectionId", "partnerClientId", "partnersClientId")
    amount = {"currency": currency or probe.terms.amount.currency, "quantity": probe.quantity(quantity)}
    return probe.body(D, amount=amount, **{name: account[name] for name in names if name in account})


@GROUP.check(1, "a reserve of an allocation credits nothing", source=SEED_ALLOCATE)
async def reserve_credits_nothing(probe: Probe) -> None:
    await refuse(probe, await probe.bring(A, Status.RESERVED))


@GROUP.check(2, "a clear of an allocation credits its amount, and no more", source=SEED_ALLOCATE)
async def clear_credits(probe: Probe) -> None:
    account, quantity = await probe.bring(A, Status.CLEARED), probe.terms.amount.quantity
    await refuse(probe, account, quantity + 1)
    await take(probe, account, quantity)


@GROUP.check(3, "a clear that is repeated credits once", source=SEED_ALLOCATE)
async def repeated_clear(probe: Probe) -> None:
    account = await probe.bring(A, Status.CLEARED)
    await probe.finish(A, Verb.CLEAR, account["allocationId"], expect.CLEARED)
    await take(probe, account, probe.terms.amount.quantity)
    await refuse(probe, account)


@GROUP.check(4, "a release of an allocation credits nothing", source=SEED_ALLOCATE)
async def release_credits_nothing(probe: Probe) -> None:
    await refuse(probe, await probe.bring(A, Status.RELEASED))


@GROUP.check(5, "a reserve of a deallocation holds its amount, once")
async def hold(probe: Probe) -> None:
    account, quantity = await probe.bring(A, Status.CLEARED), probe.terms.amount.quantity
    body = await take(probe, account, quantity - 1)
    await probe.reserve(D, body, expect.RESERVED)
    await refuse(probe, account, 2)
    await take(probe, account, 1)


@GROUP.check(6, "a release of a deallocation returns its hold, once")
async def returned(probe: Probe) -> None:
    account, quantity = await probe.bring(A, Status.CLEARED), probe.terms.amount.quantity
    body = await take(probe, account, quantity)
    for _ in range(2):
        await probe.finish(D, Verb.RELEASE, body["deallocationId"], expect.RELEASED)
    await take(probe, account, quantity)
    await refuse(probe, account)


@GROUP.check(7, "a clear of a deallocation debits its hold: nothing comes back")
async def debited(probe: Probe) -> None:
    account, quantity = await probe.bring(A, Status.CLEARED), probe.terms.amount.quantity
    body = await take(probe, account, quantity - 1)
    for _ in range(2):
        await probe.finish(D, Verb.CLEAR, body["deallocationId"], expect.CLEARED)
    await refuse(probe, account, 2)
    await take(probe, account, 1)


@GROUP.check(8, "what one currency holds does not count for another")
async def currencies(probe: Probe) -> None:
    account = await probe.bring(A, Status.CLEARED)
    await refuse(probe, account, 1, probe.terms.other_currency)


@GROUP.check(9, "what one connection holds does not count for another")
async def connections(probe: Probe) -> None:
    await probe.bring(A, Status.CLEARED)
    await refuse(probe, probe.body(A))


@GROUP.check(10, "a rejected deallocation holds nothing")
async def rejected_holds_nothing(probe: Probe) -> None:
    account, quantity = await probe.bring(A, Status.CLEARED), probe.terms.amount.quantity
    await refuse(probe, account, quantity + 1)
    await take(probe, account, quantity)


@GROUP.check(11, "allocations of one account add up")
async def sums(probe: Probe) -> None:
    account, quantity = await probe.bring(A, Status.CLEARED), probe.terms.amount.quantity
    await probe.fund(account, quantity)
    await take(probe, account, 2 * quantity)
    await refuse(probe, account)


@GROUP.check(12, "a clear of an allocation is not refused for what happened in between", source=CONTRACT)
async def late_clear(probe: Probe) -> None:
    account = await probe.bring(A, Status.RESERVED)
    await refuse(probe, account)
    await probe.fund(account, 1)
    await take(probe, account, 1)
    await probe.finish(A, Verb.CLEAR, account["allocationId"], expect.CLEARED)
    await take(probe, account, probe.terms.amount.quantity)


@GROUP.check(13, "a deallocation that is issued again holds its amount again, or is rejected")
async def issued_again(probe: Probe) -> None:
    probe.only_if_issued_again(D)
    account, quantity = await probe.bring(A, Status.CLEARED), probe.terms.amount.quantity
    body = await take(probe, account, quantity)
    await probe.finish(D, Verb.RELEASE, body["deallocationId"], expect.RELEASED)
    await probe.reserve(D, body, expect.RESERVED)
    await refuse(probe, account)
    await probe.finish(D, Verb.RELEASE, body["deallocationId"], expect.RELEASED)
    await take(probe, account, 1)
    await probe.reserve(D, body, probe.rejected)
