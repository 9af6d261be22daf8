"""What every view finds in the application."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from bitgo.simulator.disputes import Disputes
from bitgo.simulator.ledger import Ledger
from bitgo.simulator.partner import Partner
from bitgo.simulator.settlements import Settlements
from bitgo.simulator.tokens import Token
from bitgo.simulator.trouble import Troubles

BeforeSettlement = Callable[[frozenset[str]], Awaitable[None]]
"""Called with the connections of a settlement before it moves anything: BitGo may clear what is still reserved."""

LEDGER: Final = web.AppKey("ledger", Ledger)
PARTNER: Final = web.AppKey("partner", Partner)
TOKENS: Final = web.AppKey("tokens", Sequence[Token])
SETTLEMENTS: Final = web.AppKey("settlements", Settlements)
DISPUTES: Final = web.AppKey("disputes", Disputes)
TROUBLES: Final = web.AppKey("troubles", Troubles)
SIGNER: Final = web.AppKey("signer", EllipticCurvePrivateKey)
BEFORE_SETTLEMENT: Final[web.AppKey[BeforeSettlement]] = web.AppKey("before_settlement")
