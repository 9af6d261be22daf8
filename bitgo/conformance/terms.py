"""What is told about a partner before it is checked."""

from dataclasses import dataclass, field
from typing import Final, Literal

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from schemas.words import AfterFinal, Kind

REQUEST_SECONDS: Final = 15.0
CHECK_SECONDS: Final = 60.0
TOTAL_SECONDS: Final = 900.0
AT_ONCE: Final = 8


@dataclass(frozen=True)
class Account:
    """A connection that the partner knows, for partners that know no others."""

    connection_id: str
    client_id: str
    partners_connection_id: str
    partner_client_id: str


@dataclass(frozen=True)
class Amount:
    currency: str
    quantity: int
    """Base units."""


@dataclass(frozen=True)
class Terms:
    url: str
    key: RSAPrivateKey = field(repr=False)
    base_path: str = "/bitgo/v1"
    edition: Literal["seed", "later"] = "seed"
    allocations_after_final: AfterFinal = AfterFinal.CONFLICT
    deallocations_after_final: AfterFinal = AfterFinal.REISSUE
    rejected_as: int = 200
    amount: Amount = Amount("BTC", 5)
    other_currency: str = "ETH"
    rejects: Amount | None = None
    """An allocation that the partner's policy rejects."""
    account: Account | None = None
    enterprise_id: str | None = None
    connections: bool = False
    connection_tokens: tuple[str, ...] = ()
    partner_id: str = "partner"
    unpublished: bool = False
    answer_within_seconds: float = 10.0
    request_seconds: float = REQUEST_SECONDS
    check_seconds: float = CHECK_SECONDS
    total_seconds: float = TOTAL_SECONDS
    at_once: int = AT_ONCE

    def after_final(self, kind: Kind) -> AfterFinal:
        return self.allocations_after_final if kind is Kind.ALLOCATION else self.deallocations_after_final
