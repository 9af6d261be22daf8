"""Quantities in base units: read exactly, never as binary floating point (contract, section 2; decision 6)."""

import re
from typing import Final

from schemas.fields import QUANTITY_MAX_DIGITS
from schemas.strict_json import NumberLiteral

QUANTITY_MAX: Final = 10**QUANTITY_MAX_DIGITS - 1
EXPONENT_FORM_MIN: Final = 10**21
"""JavaScript prints integers from 10^21 on in exponent form; nothing smaller is accepted in it."""

_LITERAL_MAX_CHARACTERS: Final = 100
_DIGITS: Final = re.compile(r"[1-9][0-9]{0,77}", re.ASCII)
_EXPONENT: Final = re.compile(r"([0-9]+)(?:\.([0-9]+))?[eE]([+-]?[0-9]{1,3})", re.ASCII)


def read_quantity(value: object) -> int:
    """The value of a quantity as BitGo sends it: a JSON number (NumberLiteral) or a string of digits.

    Raises ValueError with the rule that the value breaks.
    """
    if isinstance(value, NumberLiteral):
        return _read_number(value.text)
    if isinstance(value, str):
        if not _DIGITS.fullmatch(value):
            raise ValueError(f"must be 1 to {QUANTITY_MAX_DIGITS} digits without a leading zero")
        return int(value)
    raise ValueError("must be a JSON integer or a string of digits")


def read_change(value: object) -> int:
    """A change of a balance: a quantity, or one behind a minus; never 0 (contract, section 9). Raises ValueError."""
    if isinstance(value, NumberLiteral):
        sign, magnitude = _split_sign(value.text)
        return sign * _said_signed(NumberLiteral(magnitude))
    if isinstance(value, str):
        sign, magnitude = _split_sign(value)
        return sign * _said_signed(magnitude)
    return read_quantity(value)


def _split_sign(text: str) -> tuple[int, str]:
    return (-1, text[1:]) if text.startswith("-") else (1, text)


def _said_signed(magnitude: object) -> int:
    try:
        return read_quantity(magnitude)
    except ValueError as error:
        raise ValueError(f"{error}, or the same with a minus") from None


def _read_number(literal: str) -> int:
    if len(literal) > _LITERAL_MAX_CHARACTERS:
        raise ValueError(f"must be less than 10^{QUANTITY_MAX_DIGITS}")
    if _DIGITS.fullmatch(literal):
        return int(literal)
    exponent_form = _EXPONENT.fullmatch(literal)
    if exponent_form is None:
        raise ValueError(f"must be an integer from 1 to 10^{QUANTITY_MAX_DIGITS} - 1")
    return _expand(*exponent_form.groups(default=""))


def _expand(whole: str, fraction: str, exponent: str) -> int:
    zeros = int(exponent) - len(fraction)
    digits = (whole + fraction).lstrip("0")
    while zeros < 0 and digits.endswith("0"):
        digits, zeros = digits[:-1], zeros + 1
    if not digits or zeros < 0:
        raise ValueError("must be an integer")
    if len(digits) + zeros > QUANTITY_MAX_DIGITS:
        raise ValueError(f"must be less than 10^{QUANTITY_MAX_DIGITS}")
    value = int(digits + "0" * zeros)
    if value < EXPONENT_FORM_MIN:
        raise ValueError("must be plain digits below 10^21")
    return value
