"""What a settlement asks for: amounts of connections, or of connections towards each other (contract, section 10)."""

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

from bitgo.simulator.api.errors import bad_request
from bitgo.simulator.api.requests import BODY_MAX_BYTES, Body
from bitgo.simulator.partner import Partner
from bitgo.simulator.settlements import Transfer
from bitgo.simulator.timestamps import Moment
from schemas.fields import Currency, NonEmptyText, Uuid

AMOUNT_MAX_CHARACTERS: Final = 160


def _different_ids(value: Any) -> Any:
    """Ids are compared without regard to case; an amount that another one hides would be lost."""
    if isinstance(value, dict) and len({str(name).lower() for name in value}) != len(value):
        raise ValueError("a connection is named twice")
    return value


Amount = Annotated[str, Field(min_length=1, max_length=AMOUNT_MAX_CHARACTERS)]
Amounts = Annotated[dict[Currency, Amount], Field(min_length=1)]
OfConnections = Annotated[dict[Uuid, Amounts], Field(min_length=1), BeforeValidator(_different_ids)]
BetweenConnections = Annotated[dict[Uuid, OfConnections], Field(min_length=1), BeforeValidator(_different_ids)]


class Unsigned(Body):
    """Of settlements-signing, which serves both versions."""

    external_id: NonEmptyText
    notes: NonEmptyText | None = None
    settlement_amounts: OfConnections | BetweenConnections
    nonce: NonEmptyText
    cutoff_at: Moment | None = None


class SignedV1(Body):
    external_id: NonEmptyText
    notes: NonEmptyText | None = None
    settlement_amounts: OfConnections | BetweenConnections
    nonce: NonEmptyText
    payload: Annotated[str, Field(min_length=1, max_length=BODY_MAX_BYTES)]
    signature: Annotated[str, Field(min_length=1, max_length=256)]


class SignedV2(SignedV1):
    cutoff_at: Moment


def transfers_of(partner: Partner, amounts: dict[str, Any]) -> list[Transfer]:
    """Raises ApiError 400 for an amount in the wrong form, and when a broker's currency does not net to 0."""
    try:
        transfers = list(_transfers(partner, amounts))
    except ValueError as error:
        raise bad_request(f"settlementAmounts: {error}") from None
    if partner.is_broker:
        _check_nets_to_zero(transfers)
    return transfers


def _transfers(partner: Partner, amounts: dict[str, Any]) -> Iterable[Transfer]:
    for connection_id, inner in amounts.items():
        for name, value in inner.items():
            if isinstance(value, str):
                yield Transfer(connection_id, None, name, partner.base_units(name, value))
                continue
            if name == connection_id:
                raise ValueError(f"connection {name} owes itself")
            for currency, amount in value.items():
                yield Transfer(connection_id, name, currency, partner.base_units(currency, amount))


def _check_nets_to_zero(transfers: Iterable[Transfer]) -> None:
    total: Counter[str] = Counter()
    for each in transfers:
        if each.counterparty_id is None:
            total[each.currency] += each.quantity
    if others := sorted(currency for currency, rest in total.items() if rest):
        raise bad_request(f"settlementAmounts: a broker's {', '.join(others)} must net to 0")
