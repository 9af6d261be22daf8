"""BitGo's tokens: `X-BitGo-Signature`, a JWT, RS256 and nothing else (contract, section 4)."""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from ingress.auth.public_keys import PublicKeys

HEADER: Final = "X-BitGo-Signature"
TOKEN_MAX_CHARACTERS: Final = 4096
JTI_MAX_CHARACTERS: Final = 1024
_ALGORITHMS: Final = ["RS256"]
_LATEST: Final = 253_402_300_799.0  # 9999-12-31, the last second that Postgres and Python both know


@dataclass(frozen=True, slots=True)
class Token:
    """A valid token. `expires_at` is Unix time, in seconds, leeway included."""

    jti: str | None
    expires_at: float
    hash: bytes
    """SHA-256 of the text."""


class BadTokenError(Exception):
    """The token is not valid. `reason` is for the log and the counter, never for the caller."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Signatures:
    """Verifies tokens. Does not know which were used before: that is TokenReplay."""

    def __init__(self, keys: PublicKeys, *, leeway_seconds: float, max_age_seconds: float, require_jti: bool) -> None:
        self.keys = keys
        self._tokens = jwt.PyJWT()
        self._leeway = leeway_seconds
        self._max_age = max_age_seconds
        self._options: dict[str, Any] = {
            "require": ["exp", "jti"] if require_jti else ["exp"],
            "verify_aud": False,
            "verify_sub": False,
        }

    def verify(self, text: str | None) -> Token:
        """Raises BadTokenError, whatever the text is."""
        if not text:
            raise BadTokenError("missing")
        if len(text) > TOKEN_MAX_CHARACTERS:
            raise BadTokenError("too_long")
        try:
            return self._token(text, self._claims(text))
        except jwt.PyJWTError as error:
            raise BadTokenError(_reason(error)) from None
        except (ValueError, TypeError, OverflowError, RecursionError):
            raise BadTokenError("malformed") from None

    def _claims(self, text: str) -> dict[str, Any]:
        """The claims, verified with the first that fits of the keys that `kid` names, or of all keys."""
        keys = [key for _, key in self.keys]
        if len(keys) > 1:
            kid = jwt.get_unverified_header(text).get("kid")
            keys = [key for name, key in self.keys if name == kid] or keys
        for key in keys[:-1]:
            try:
                return self._decode(text, key)
            except jwt.InvalidSignatureError:
                continue
        return self._decode(text, keys[-1])

    def _decode(self, text: str, key: RSAPublicKey) -> dict[str, Any]:
        return self._tokens.decode(text, key, algorithms=_ALGORITHMS, leeway=self._leeway, options=self._options)  # type: ignore[arg-type]

    def _token(self, text: str, claims: Mapping[str, Any]) -> Token:
        expires_at, jti = claims["exp"], claims.get("jti")
        if isinstance(expires_at, bool) or not isinstance(expires_at, int | float) or not 0 < expires_at < _LATEST:
            raise BadTokenError("malformed")
        if expires_at > time.time() + self._max_age + self._leeway:
            raise BadTokenError("too_long_lived")
        if jti is not None and (not isinstance(jti, str) or not 0 < len(jti) <= JTI_MAX_CHARACTERS):
            raise BadTokenError("malformed")
        return Token(jti, expires_at + self._leeway, hashlib.sha256(text.encode()).digest())


def _reason(error: jwt.PyJWTError) -> str:
    for kind, reason in _REASONS.items():
        if isinstance(error, kind):
            return reason
    return "malformed"


_REASONS: Final[Mapping[type[jwt.PyJWTError], str]] = {
    jwt.ExpiredSignatureError: "expired",
    jwt.ImmatureSignatureError: "not_yet_valid",
    jwt.InvalidAlgorithmError: "algorithm",
    jwt.InvalidSignatureError: "wrong_signature",
    jwt.MissingRequiredClaimError: "claim_missing",
}
