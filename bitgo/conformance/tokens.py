"""Tokens as BitGo signs them, and tokens that must be refused (contract, section 4)."""

import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

Make = Callable[[RSAPrivateKey], str]


def claims(**changes: Any) -> dict[str, Any]:
    """Those of a good token, with changes; None leaves one out. Numbers for exp, nbf and iat are seconds from now."""
    now = int(time.time())
    moved = {name: now + value if name in ("exp", "nbf", "iat") and value else value for name, value in changes.items()}
    document = {"iat": now, "exp": now + 55, "jti": str(uuid.uuid4())} | moved
    return {name: value for name, value in document.items() if value is not None}


def signed(key: RSAPrivateKey, *, algorithm: str = "RS256", kid: str | None = None, **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm, headers={"kid": kid} if kid else None)


@cache
def _stranger() -> RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def _part(document: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def _without_signature(_: RSAPrivateKey) -> str:
    return f"{_part({'alg': 'none', 'typ': 'JWT'})}.{_part(claims())}."


def _hs256_with_the_public_key(key: RSAPrivateKey) -> str:
    """The classic confusion: the public key's PEM text as the secret of a symmetric signature."""
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    text = f"{_part({'alg': 'HS256', 'typ': 'JWT'})}.{_part(claims())}"
    digest = hmac.new(pem, text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def _payload_changed(key: RSAPrivateKey) -> str:
    head, _, signature = signed(key).split(".")
    return f"{head}.{_part(claims())}.{signature}"


WRONG: Final[Mapping[str, tuple[str, Make]]] = {
    "garbage": ("text that is no token", lambda _: "not-a-token"),
    "alg-none": ("a token with algorithm none", _without_signature),
    "hs256-public-key": ("an HS256 token whose secret is the public key", _hs256_with_the_public_key),
    "rs512": ("an RS512 token", lambda key: signed(key, algorithm="RS512")),
    "ps256": ("a PS256 token", lambda key: signed(key, algorithm="PS256")),
    "other-key": ("a token of another RSA key", lambda _: signed(_stranger())),
    "other-key-kid": ("a token of another RSA key, with a kid", lambda _: signed(_stranger(), kid="unknown")),
    "signature-cut": ("a token whose signature is cut", lambda key: signed(key)[:-4]),
    "payload-changed": ("a token whose claims were changed", _payload_changed),
    "expired": ("a token that expired a minute ago", lambda key: signed(key, iat=-120, exp=-60)),
    "no-exp": ("a token without exp", lambda key: signed(key, exp=None)),
    "long-lived": ("a token for an hour", lambda key: signed(key, exp=3600)),
    "not-yet-valid": ("a token whose nbf is in a minute", lambda key: signed(key, nbf=60)),
    "no-jti": ("a token without jti", lambda key: signed(key, jti=None)),
    "empty-jti": ("a token with an empty jti", lambda key: signed(key, jti="")),
}
"""By the names under which `allocations token --wrong` makes them: a description, and how."""
