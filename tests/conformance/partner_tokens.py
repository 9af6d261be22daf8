"""How the partner in memory verifies a token."""

import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

LONGEST_SECONDS = 65
"""A minute and the leeway."""


def verified_jti(text: str, key: RSAPublicKey, faults: frozenset[str]) -> str:
    """Raises ValueError for a token that counts for nothing."""
    try:
        claims = _claims(text, key, faults)
    except jwt.PyJWTError as error:
        raise ValueError(error) from None
    is_long = claims["exp"] > time.time() + LONGEST_SECONDS
    if not claims["jti"] or (is_long and "accepts a token for an hour" not in faults):
        raise ValueError(claims)
    return str(claims["jti"])


def _claims(text: str, key: RSAPublicKey, faults: frozenset[str]) -> dict[str, Any]:
    if "accepts HS256" in faults and jwt.get_unverified_header(text)["alg"] == "HS256":
        return dict(jwt.decode(text, options={"verify_signature": False}))
    options: dict[str, Any] = {"require": ["exp", "jti"], "verify_sub": False, "verify_aud": False}
    options["verify_exp"] = "accepts expired tokens" not in faults
    return dict(jwt.decode(text, key, algorithms=["RS256"], leeway=5, options=options))  # type: ignore[arg-type]
