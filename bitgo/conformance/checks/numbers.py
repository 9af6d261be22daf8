"""Quantities at their edges, JavaScript's forms included (contract, section 2)."""

from functools import partial
from typing import Any, Final

from bitgo.conformance import expect
from bitgo.conformance.check import Group
from bitgo.conformance.expect import Expected
from bitgo.conformance.probe import Probe, is_raw, raw
from bitgo.conformance.sources import CONTRACT, GUIDE_DEALLOCATE, RFC_JSON, SEED_ALLOCATE, Source
from bitgo.conformance.wire import Answer
from schemas.strict_json import NumberLiteral
from schemas.words import Kind

GROUP: Final = Group("number", "Quantities at their edges", "2", CONTRACT)
A: Final = Kind.ALLOCATION
LARGEST: Final = 10**78 - 1
BEYOND_DOUBLES: Final = 2**53 + 1


def digits(value: int, form: type) -> Expected:
    """Plain digits: a reader that knows no exponents must not be surprised."""
    words = str(value) if form is NumberLiteral else f"'{value}'"

    def miss(answer: Answer) -> str | None:
        found = expect.shown(answer.field("amount", "quantity"))
        return None if found == words else f'"amount.quantity" is {found}'

    return Expected(f'"amount.quantity": {words}', miss)


def amount(probe: Probe, quantity: Any) -> dict[str, Any]:
    return {"currency": probe.terms.amount.currency, "quantity": quantity}


async def _accepted(sent: Any, value: int, form: type, probe: Probe) -> None:
    """Policy may reject the reserve; the answer must have the exact amount either way."""
    answered = expect.status(200, probe.terms.rejected_as) & expect.word("reserved", "rejected")
    await probe.reserve(A, probe.body(A, amount=amount(probe, sent)), answered & digits(value, form))


ACCEPTED: Final[tuple[tuple[str, str, int, Source], ...]] = (
    ("the smallest number, 1", raw("1"), 1, SEED_ALLOCATE),
    ("the smallest string, 1", "1", 1, GUIDE_DEALLOCATE),
    ("2^53 + 1 as a number, which no double holds", raw(str(BEYOND_DOUBLES)), BEYOND_DOUBLES, SEED_ALLOCATE),
    ("2^53 + 1 as a string", str(BEYOND_DOUBLES), BEYOND_DOUBLES, GUIDE_DEALLOCATE),
    ("10^78 - 1 as a number", raw(str(LARGEST)), LARGEST, CONTRACT),
    ("10^78 - 1 as a string", str(LARGEST), LARGEST, CONTRACT),
    ("10^21 as JavaScript prints it, 1e+21", raw("1e+21"), 10**21, SEED_ALLOCATE),
    ("1.5e+21, as JavaScript prints it", raw("1.5e+21"), 15 * 10**20, SEED_ALLOCATE),
    (
        "1.2345678901234567e+30, as JavaScript prints it",
        raw("1.2345678901234567e+30"),
        12345678901234567 * 10**14,
        SEED_ALLOCATE,
    ),
    ("1E21", raw("1E21"), 10**21, RFC_JSON),
)
for _number, (_title, _sent, _value, _source) in enumerate(ACCEPTED, 1):
    _form = NumberLiteral if is_raw(_sent) else str
    GROUP.add(
        f"{_number:02}",
        f"accepted, and answered exactly in plain digits: {_title}",
        partial(_accepted, _sent, _value, _form),
        source=_source,
    )


async def _refused(sent: Any, probe: Probe) -> None:
    for kind in Kind:
        body = probe.body(kind, amount=amount(probe, sent))
        await probe.reserve(kind, body, expect.BAD_REQUEST)
        await probe.still(kind, body, None)


REFUSED: Final[tuple[tuple[str, Any], ...]] = (
    ("1.0", raw("1.0")),
    ("1.5", raw("1.5")),
    ("1e3", raw("1e3")),
    ("1e78", raw("1e78")),
    ("10^78 in digits", raw(str(LARGEST + 1))),
    ("1e999999999, without being expanded", raw("1e999999999")),
    ("1.00000000000000000000001e+22, which is no integer", raw("1.00000000000000000000001e+22")),
    ("-5", raw("-5")),
    ("0", raw("0")),
    ("NaN", raw("NaN")),
    ("true", True),
    ("null", None),
    ("a list", [5]),
    ('"12.5"', "12.5"),
    ('"1e21"', "1e21"),
    ('"007"', "007"),
    ('"-5"', "-5"),
    ('"0"', "0"),
    ('"+5"', "+5"),
    ('" 5"', " 5"),
    ('"5\\n"', "5\n"),
    ('"" (empty)', ""),
    ('"five"', "five"),
    ("\N{ARABIC-INDIC DIGIT FIVE}, a digit that is not ASCII", "\N{ARABIC-INDIC DIGIT FIVE}"),
    ("10^78 in a string", str(LARGEST + 1)),
)
for _number, (_title, _wrong) in enumerate(REFUSED, 31):
    GROUP.add(f"{_number:02}", f"400, and nothing changes: the quantity {_title}", partial(_refused, _wrong))


@GROUP.check(71, "1e+21 and the same value in digits are one amount")
async def one_amount(probe: Probe) -> None:
    body = probe.body(A, amount=amount(probe, raw("1e+21")))
    answered = expect.status(200, probe.terms.rejected_as)
    await probe.reserve(A, body, answered)
    for same in (raw(str(10**21)), str(10**21)):
        await probe.reserve(A, body | {"amount": amount(probe, same)}, answered)


@GROUP.check(72, "2^53 and 2^53 + 1 are two amounts")
async def two_amounts(probe: Probe) -> None:
    body = probe.body(A, amount=amount(probe, raw(str(BEYOND_DOUBLES))))
    await probe.reserve(A, body, expect.status(200, probe.terms.rejected_as))
    other = body | {"amount": amount(probe, raw(str(BEYOND_DOUBLES - 1)))}
    await probe.reserve(A, other, expect.CONFLICT)
