"""How BitGo's documents spell a reserve, edition by edition, and how the answer spells it (contract, section 2)."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple

import orjson

from schemas.words import Kind

SIGNIFICANT_DIGITS_MAX: Final = 15
"""Every integer of so many digits before its zeros survives JavaScript's number type."""
PLAIN_BELOW: Final = 10**21


class Edition(StrEnum):
    SEED = "seed"  # partnerClientId, partnerAllocationId, a number
    LATER = "later"  # partnersClientId, partnersAllocationId, a string
    MIXED = "mixed"  # partnerClientId, partnersAllocationId, a string
    JAVASCRIPT = "javascript"  # as seed, the number as JavaScript prints it: 1e+21


class Spelling(NamedTuple):
    client: str
    partner: str
    is_text: bool


SPELLINGS: Final[Mapping[Edition, Spelling]] = {
    Edition.SEED: Spelling("partner", "partner", is_text=False),
    Edition.LATER: Spelling("partners", "partners", is_text=True),
    Edition.MIXED: Spelling("partner", "partners", is_text=True),
    Edition.JAVASCRIPT: Spelling("partner", "partner", is_text=False),
}


class Content(NamedTuple):
    """What a reserve says. `partner_allocation_id`: the id of the partner's record, of either kind; `is_minted` when
    BitGo sent none: then it is the partner's, and a reserve does not carry it.
    """

    kind: Kind
    allocation_id: str
    client_id: str
    connection_id: str
    partners_connection_id: str
    partners_client_id: str
    currency: str
    quantity: int
    partner_allocation_id: str | None
    is_minted: bool = False


def request_body(content: Content, edition: Edition, *, upper_case: bool = False) -> bytes:
    spelling = SPELLINGS[edition]
    shown = str.upper if upper_case else str
    quantity: Any = str(content.quantity)
    if not spelling.is_text:
        is_javascript = edition is Edition.JAVASCRIPT
        quantity = orjson.Fragment(javascript_number(content.quantity) if is_javascript else quantity)
    document = {
        f"{content.kind}Id": shown(content.allocation_id),
        "amount": {"currency": content.currency, "quantity": quantity},
        "clientId": shown(content.client_id),
        "connectionId": shown(content.connection_id),
        "partnersConnectionId": content.partners_connection_id,
        f"{spelling.client}ClientId": content.partners_client_id,
    }
    if content.partner_allocation_id is not None and not content.is_minted:
        document[f"{spelling.partner}{content.kind.capitalize()}Id"] = content.partner_allocation_id
    return orjson.dumps(document)


def wrong_fields(content: Content, edition: Edition, answer: Mapping[str, Any]) -> list[str]:
    """What an answer does not repeat as the edition has it. The spelling of a minted id is the partner's choice: the
    request left the field out, so it did not say.
    """
    spelling = SPELLINGS[edition]
    partner_field = f"{spelling.partner}{content.kind.capitalize()}Id"
    quantity: int | str = str(content.quantity) if spelling.is_text else content.quantity
    due = {
        f"{content.kind}Id": content.allocation_id,
        "clientId": content.client_id,
        "connectionId": content.connection_id,
        "partnersConnectionId": content.partners_connection_id,
        f"{spelling.client}ClientId": content.partners_client_id,
    }
    wrong = [name for name, value in due.items() if answer.get(name) != value]
    partner_id = partner_id_of(content.kind, answer) if content.is_minted else answer.get(partner_field)
    if not partner_id or partner_id != (content.partner_allocation_id or partner_id):
        wrong.append(partner_field)
    amount = answer.get("amount")
    came = amount.get("quantity") if isinstance(amount, dict) else None
    if not isinstance(amount, dict) or amount.get("currency") != content.currency:
        wrong.append("amount.currency")
    if type(came) is not type(quantity) or came != quantity:
        wrong.append("amount.quantity")
    return wrong


def partner_id_of(kind: Kind, answer: Mapping[str, Any]) -> str | None:
    """The partner's id in an answer of any edition."""
    found = answer.get(f"partner{kind.capitalize()}Id") or answer.get(f"partners{kind.capitalize()}Id")
    return found if isinstance(found, str) else None


def javascript_number(value: int) -> str:
    """As JavaScript prints a number; what its number type cannot carry is printed in full, as a BigInt would be."""
    digits = str(value).rstrip("0")
    if value < PLAIN_BELOW or len(digits) > SIGNIFICANT_DIGITS_MAX:
        return str(value)
    mantissa = digits if len(digits) == 1 else f"{digits[0]}.{digits[1:]}"
    return f"{mantissa}e+{len(str(value)) - 1}"
