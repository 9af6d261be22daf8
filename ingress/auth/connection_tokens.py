"""The one-time tokens that connect an account of the platform (contract, section 6).

Only hashes are kept and travel: the SHA-256 of the token's UTF-8. Whether a token is spent is decided in log order, by
the machine; here it is only found out what it was issued for.

A platform that registered a public key at BitGo gets ciphertext, and has the private keys here. What has not the form
of a ciphertext is then still taken as it is: BitGo does not say from which request on it encrypts, and a plain token is
as hard to guess as before.
"""

import asyncio
import hmac
from collections.abc import Sequence
from functools import partial
from typing import Final, Literal, NamedTuple

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from ingress.auth.token_cipher import NotDecryptedError, decrypt, is_encrypted
from ingress.http.problems import overloaded, unavailable
from ingress.postgres import connection_tokens
from ingress.postgres.database import Database
from schemas.commands import IssuedToken
from service.errors import UnavailableError

DECRYPTIONS_MAX: Final = 1
"""At once: each takes tens of milliseconds of a processor."""


class Presented(NamedTuple):
    """A token as BitGo presents it. `issued`: what for, unless it is unknown or was revoked. `form` is for the log."""

    token_hash: str
    issued: IssuedToken | None
    form: Literal["plain", "decrypted", "not_decrypted"]


class ConnectionTokens:
    """`keys` belong to who loads them, and may change at any time."""

    def __init__(self, database: Database, keys: Sequence[RSAPrivateKey]) -> None:
        self._keys = keys
        self._database = database
        self._decrypting = asyncio.Semaphore(DECRYPTIONS_MAX)

    async def presented(self, token: str, deadline: float) -> Presented:
        """Raises ProblemError 503: `unavailable` when Postgres does not answer, `overloaded` after the deadline.

        What can not be decrypted is like any token that was never issued.
        """
        form: Literal["plain", "decrypted", "not_decrypted"] = "plain"
        if self._keys and is_encrypted(token):
            try:
                token, form = await self._decrypt(token, deadline), "decrypted"
            except NotDecryptedError:
                form = "not_decrypted"
        token_hash = connection_tokens.hash_of(token)
        try:
            async with asyncio.timeout_at(deadline):
                found = await self._database.run(partial(connection_tokens.find, token_hash=token_hash))
        except (UnavailableError, TimeoutError) as error:
            raise unavailable("nothing was published: Postgres does not answer") from error
        known = found is not None and hmac.compare_digest(found.token_hash, token_hash)
        return Presented(token_hash, found.issued if found is not None and known else None, form)

    async def _decrypt(self, token: str, deadline: float) -> str:
        try:
            async with asyncio.timeout_at(deadline), self._decrypting:
                return await asyncio.to_thread(decrypt, token, tuple(self._keys))
        except TimeoutError as error:
            raise overloaded("too many tokens are being decrypted") from error
