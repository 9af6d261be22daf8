"""How fields are spelled and quantities written, edition by edition (contract, section 2)."""

from typing import Any, Final

from bitgo.conformance import expect
from bitgo.conformance.check import Group, Need
from bitgo.conformance.expect import Expected
from bitgo.conformance.probe import Probe
from bitgo.conformance.sources import CONTRACT, GUIDE_DEALLOCATE, SEED_ALLOCATE
from schemas.strict_json import NumberLiteral
from schemas.words import Kind, Verb

GROUP: Final = Group("edition", "Spelling and form, edition by edition", "2", CONTRACT)
A: Final = Kind.ALLOCATION
_SPELLINGS: Final = {"partner": "partners", "partners": "partner"}


def client_id(body: dict[str, Any], name: str) -> Expected:
    other = "partnerClientId" if name == "partnersClientId" else "partnersClientId"
    return expect.member(name, equals=body[name]) & expect.absent(other)


def form(kind: type) -> Expected:
    words = "a number" if kind is NumberLiteral else "a string"
    return expect.that(
        f'"amount.quantity" as {words}', lambda answer: isinstance(answer.field("amount", "quantity"), kind)
    )


def respelled(probe: Probe, kind: Kind, spelling: str) -> dict[str, Any]:
    body = probe.body(kind, partnerClientId=None, partnersClientId=None)
    body = body | {f"{spelling}ClientId": probe.account().partner_client_id}
    for name in (f"partner{kind.capitalize()}Id", f"partners{kind.capitalize()}Id"):
        body.pop(name, None)
    return body


async def _spelling(probe: Probe, kind: Kind, spelling: str) -> None:
    body = respelled(probe, kind, spelling)
    if kind is Kind.DEALLOCATION:
        await probe.fund(body, probe.terms.amount.quantity)
    expected = client_id(body, f"{spelling}ClientId")
    await probe.reserve(kind, body, expect.RESERVED & expected)
    await probe.finish(kind, Verb.CLEAR, body[f"{kind}Id"], expect.CLEARED & expected)


@GROUP.both_kinds(1, "partnerClientId of the {kind} is answered under this name, by clear too", source=SEED_ALLOCATE)
async def seed_spelling(probe: Probe, kind: Kind) -> None:
    await _spelling(probe, kind, "partner")


@GROUP.both_kinds(
    2, "partnersClientId of the {kind} is answered under this name, by clear too", source=GUIDE_DEALLOCATE
)
async def later_spelling(probe: Probe, kind: Kind) -> None:
    await _spelling(probe, kind, "partners")


async def _quantity_form(probe: Probe, kind: Kind, form_of: type) -> None:
    value = probe.terms.amount.quantity
    amount = {"currency": probe.terms.amount.currency, "quantity": value if form_of is NumberLiteral else str(value)}
    body = probe.body(kind, amount=amount)
    if kind is Kind.DEALLOCATION:
        await probe.fund(body, value)
    await probe.reserve(kind, body, expect.RESERVED & form(form_of))
    await probe.finish(kind, Verb.RELEASE, body[f"{kind}Id"], expect.RELEASED & form(form_of))


@GROUP.both_kinds(
    3, "a quantity of the {kind} that is a number is answered as one, by release too", source=SEED_ALLOCATE
)
async def number(probe: Probe, kind: Kind) -> None:
    await _quantity_form(probe, kind, NumberLiteral)


@GROUP.both_kinds(
    4, "a quantity of the {kind} that is a string is answered as one, by release too", source=GUIDE_DEALLOCATE
)
async def string(probe: Probe, kind: Kind) -> None:
    await _quantity_form(probe, kind, str)


@GROUP.check(5, "a repeat in another edition is the same reserve, and answered in its own edition")
async def repeat_in_another_edition(probe: Probe) -> None:
    value = probe.terms.amount.quantity
    first = respelled(probe, A, "partner")
    first["amount"] = {"currency": probe.terms.amount.currency, "quantity": value}
    second = {name: each for name, each in first.items() if name != "partnerClientId"}
    second |= {
        "partnersClientId": first["partnerClientId"],
        "amount": {"currency": probe.terms.amount.currency, "quantity": str(value)},
    }
    await probe.reserve(A, first, expect.RESERVED & form(NumberLiteral) & client_id(first, "partnerClientId"))
    await probe.reserve(A, second, expect.RESERVED & form(str) & client_id(second, "partnersClientId"))
    finished = expect.CLEARED & form(NumberLiteral) & client_id(first, "partnerClientId")
    await probe.finish(A, Verb.CLEAR, first["allocationId"], finished)


@GROUP.check(6, "both spellings at once with one value are accepted, with two values 400")
async def both_spellings(probe: Probe) -> None:
    client = probe.account().partner_client_id
    both = {"partnerClientId": client, "partnersClientId": client}
    await probe.reserve(A, probe.body(A) | both, expect.RESERVED)
    await probe.reserve(A, probe.body(A) | both | {"partnersClientId": f"{client}-2"}, expect.BAD_REQUEST)


@GROUP.both_kinds(7, "a partner id that is sent with the {kind} is answered, under the name that was sent")
async def partner_id(probe: Probe, kind: Kind) -> None:
    for spelling in _SPELLINGS:
        body = respelled(probe, kind, spelling) | {f"{spelling}{kind.capitalize()}Id": "record-1"}
        if kind is Kind.DEALLOCATION:
            await probe.fund(body, probe.terms.amount.quantity)
        name = f"{spelling}{kind.capitalize()}Id"
        await probe.reserve(kind, body, expect.RESERVED & expect.member(name, equals="record-1"))


@GROUP.both_kinds(
    8, "a partner id that is not sent with the {kind} is made, and stays the same", source=GUIDE_DEALLOCATE
)
async def made_partner_id(probe: Probe, kind: Kind) -> None:
    body = respelled(probe, kind, "partner")
    name = f"partner{kind.capitalize()}Id"
    if kind is Kind.DEALLOCATION:
        await probe.fund(body, probe.terms.amount.quantity)
    first = await probe.reserve(kind, body, expect.RESERVED & expect.text_member(name))
    same = expect.member(name, equals=first.field(name))
    await probe.reserve(kind, body, expect.RESERVED & same)
    await probe.finish(kind, Verb.CLEAR, body[f"{kind}Id"], expect.CLEARED & same)


@GROUP.check(
    9, "a partnerClientId that is empty is answered empty, one that was not sent not at all", needs=[Need.OWN_ACCOUNT]
)
async def absent_client_id(probe: Probe) -> None:
    empty = probe.body(A, partnersClientId=None) | {"partnerClientId": ""}
    await probe.reserve(A, empty, expect.RESERVED & expect.member("partnerClientId", equals=""))
    none = probe.body(A, partnerClientId=None, partnersClientId=None)
    left_out = expect.absent("partnerClientId") & expect.absent("partnersClientId")
    await probe.reserve(A, none, expect.RESERVED & left_out)


@GROUP.both_kinds(
    10,
    "partnersConnectionId of the {kind} is compared and answered as it is, blanks included",
    needs=[Need.OWN_ACCOUNT],
)
async def blanks(probe: Probe, kind: Kind) -> None:
    body = probe.body(kind, partnersConnectionId=" account 7 ")
    if kind is Kind.DEALLOCATION:
        await probe.fund(body, probe.terms.amount.quantity)
    await probe.reserve(kind, body, expect.RESERVED & expect.member("partnersConnectionId", equals=" account 7 "))
    trimmed = body | {"partnersConnectionId": "account 7"}
    await probe.reserve(kind, trimmed, expect.CONFLICT)
