"""Quantities: exactly what section 2 of the contract accepts, and its value."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import strict_json
from schemas.quantity import EXPONENT_FORM_MIN, QUANTITY_MAX, read_quantity

ACCEPTED = [
    ("1", 1),
    ("5", 5),
    ("9" * 78, 10**78 - 1),
    ('"1"', 1),
    (f'"{"9" * 78}"', 10**78 - 1),
    ("1e21", 10**21),
    ("1e+21", 10**21),
    ("1E21", 10**21),
    ("1.2e21", 12 * 10**20),
    ("1.2345678901234567e+25", 12345678901234567 * 10**9),
    ("1e77", 10**77),
    ("10000000000000000000000e-1", 10**21),
    ("1000.0e18", 10**21),
]

REFUSED = [
    "0",
    "-5",
    "-0",
    "1.0",
    "1.5",
    "1e3",
    "1e20",
    "1e78",
    "1e999999999",
    "1e-5",
    "1.00000000000000000000001e21",
    "1" + "0" * 78,
    "9" * 5000,
    "0e21",
    "true",
    "null",
    "[1]",
    "{}",
    '""',
    '"0"',
    '"12.5"',
    '"1e21"',
    '"007"',
    '"-5"',
    '" 5"',
    '"5 "',
    '"5\\n"',
    '"٥"',
    f'"{"9" * 79}"',
]


@pytest.mark.parametrize(("literal", "value"), ACCEPTED)
def test_accepted_with_its_exact_value(literal: str, value: int) -> None:
    assert value == read_quantity(strict_json.loads(literal.encode()))


@pytest.mark.parametrize("literal", REFUSED, ids=lambda literal: literal[:24])
def test_refused(literal: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        read_quantity(strict_json.loads(literal.encode()))


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_no_number_is_no_json(constant: str) -> None:
    with pytest.raises(strict_json.NotJsonError):
        strict_json.loads(constant.encode())


@given(st.integers(1, QUANTITY_MAX))
def test_every_integer_in_range_comes_back_as_it_was(value: int) -> None:
    assert value == read_quantity(strict_json.loads(str(value).encode())) == read_quantity(str(value))


@given(st.integers(1, 10**20), st.integers(-30, 90), st.sampled_from(["e", "E", "e+"]))
def test_exponent_form_is_read_as_exact_decimal(mantissa: int, exponent: int, mark: str) -> None:
    literal = f"{mantissa}{mark if exponent >= 0 else 'e'}{exponent}"
    exact = Decimal(mantissa) * Decimal(10) ** exponent
    number = strict_json.loads(literal.encode())
    if exact == int(exact) and EXPONENT_FORM_MIN <= exact <= QUANTITY_MAX:
        assert int(exact) == read_quantity(number)
    else:
        with pytest.raises(ValueError, match="must be"):
            read_quantity(number)


@given(st.floats(min_value=1e21, max_value=1e70))
def test_what_javascript_prints_above_its_safe_range_is_accepted(value: float) -> None:
    assert int(Decimal(repr(value))) == read_quantity(strict_json.loads(repr(value).encode()))
