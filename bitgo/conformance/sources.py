"""The documents that the checks come from; "seed" is the earlier edition of BitGo's guide."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Source:
    name: str
    address: str | None = None


_BITGO: Final = "https://developers.bitgo.com/docs/"

SEED_ALLOCATE: Final = Source(
    "seed document: Allocate Assets", f"{_BITGO}go-network-off-exchange-settlement-partner-allocate"
)
SEED_READ: Final = Source("seed document 004: Get Partner Allocation")
GUIDE_ALLOCATE: Final = Source("BitGo's guide: Allocate Assets, later edition", f"{_BITGO}oes-partner-allocate")
GUIDE_DEALLOCATE: Final = Source("BitGo's guide: Deallocate Assets", f"{_BITGO}oes-partner-deallocate")
GUIDE_SIGNATURE: Final = Source("BitGo's guide: Request Signing and Verification", f"{_BITGO}oes-partner-signature")
GUIDE_CONNECT: Final = Source("BitGo's guide: Activate Client Connections", f"{_BITGO}oes-partner-connect")
GUIDE_VIEW: Final = Source("BitGo's guide: View Go Network Details", f"{_BITGO}oes-partner-view-details")
OPENAPI: Final = Source("BitGo's OpenAPI document, 2026-08")
RFC_JSON: Final = Source("RFC 8259: JSON", "https://www.rfc-editor.org/rfc/rfc8259")
RFC_JWT: Final = Source("RFC 7519: JSON Web Token", "https://www.rfc-editor.org/rfc/rfc7519")
RFC_JWT_PRACTICE: Final = Source("RFC 8725: JWT Best Current Practices", "https://www.rfc-editor.org/rfc/rfc8725")
RFC_HTTP: Final = Source("RFC 9110: HTTP Semantics", "https://www.rfc-editor.org/rfc/rfc9110")
RFC_PREFER: Final = Source("RFC 7240: Prefer", "https://www.rfc-editor.org/rfc/rfc7240")
RFC_PROBLEM: Final = Source("RFC 9457: Problem Details", "https://www.rfc-editor.org/rfc/rfc9457")
CONTRACT: Final = Source("the contract alone: BitGo publishes nothing on it")
