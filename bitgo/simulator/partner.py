"""The partner as BitGo has it configured: who it is, how it signs, and in which form amounts travel."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from schemas.fields import QUANTITY_MAX_DIGITS

_INTEGER: Final = re.compile(r"-?[1-9][0-9]*", re.ASCII)
_DECIMAL: Final = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?", re.ASCII)


@dataclass(frozen=True)
class Partner:
    """`is_asynchronous`: it reports by itself what became of reserves, of all and not only of those so marked.

    `decimals` (places per currency) makes balances and settlement amounts decimals; without it, base units.
    """

    enterprise_id: str
    partner_id: str
    go_account_key: EllipticCurvePublicKey = field(repr=False)
    is_broker: bool = False
    has_disputes: bool = False
    is_asynchronous: bool = False
    decimals: Mapping[str, int] | None = None

    def base_units(self, currency: str, amount: str) -> int:
        """A signed amount that is not 0. Raises ValueError with the rule that it breaks."""
        value = self._from_decimal(currency, amount) if self.decimals is not None else _from_integer(amount)
        if value == 0:
            raise ValueError("must not be 0")
        if len(str(abs(value))) > QUANTITY_MAX_DIGITS:
            raise ValueError(f"must be less than 10^{QUANTITY_MAX_DIGITS} base units")
        return value

    def amount(self, currency: str, base_units: int) -> str:
        """The form in which the partner is told an amount."""
        places = (self.decimals or {}).get(currency, 0)
        if not places:
            return str(base_units)
        digits = str(abs(base_units)).rjust(places + 1, "0")
        text = f"{digits[:-places]}.{digits[-places:]}".rstrip("0").rstrip(".")
        return f"-{text}" if base_units < 0 else text

    def _from_decimal(self, currency: str, amount: str) -> int:
        places = (self.decimals or {}).get(currency)
        if places is None:
            raise ValueError(f"{currency} has no configured decimal places")
        parts = _DECIMAL.fullmatch(amount)
        if parts is None:
            raise ValueError("must be a decimal in a string")
        sign, whole, fraction = parts.groups(default="")
        if len(fraction) > places:
            raise ValueError(f"must have at most {places} decimal places")
        return int(sign + whole + fraction.ljust(places, "0"))


def _from_integer(amount: str) -> int:
    if not _INTEGER.fullmatch(amount):
        raise ValueError("must be an integer in a string, without a leading zero")
    return int(amount)
