"""A caller's token: ingress/auth/signatures.py.

Whatever the text is: BadTokenError, or a token. What is taken is RS256, and its signature is that of a known key over
the very text that was sent, as cryptography itself says; its claims keep their limits. What BitGo would send is taken.

The first byte says what the rest is: a token's text; claims, or a header and claims, that a known key or a stranger
signs; or changes to a good token. `NOW`, `SOON`, `LATE` and `PAST` in them become instants.
"""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ingress.auth.signatures import JTI_MAX_CHARACTERS, TOKEN_MAX_CHARACTERS, BadTokenError, Signatures, Token

KNOWN = {name: generate_private_key(65537, 2048) for name in ("first", "second")}
STRANGER = generate_private_key(65537, 2048)
SIGNATURES = Signatures(
    [(name, key.public_key()) for name, key in KNOWN.items()], leeway_seconds=5, max_age_seconds=60, require_jti=True
)
HEADER = b'{"alg": "RS256", "typ": "JWT"}'
INSTANTS = {b"NOW": 0, b"SOON": 30, b"LATE": 90, b"PAST": -30}


def check(data: bytes) -> None:
    mode, rest = (data[0] % 6, _timed(data[1:])) if data else (0, b"")
    header, _, claims = rest.rpartition(b"\0")
    text = {
        0: lambda: rest.decode("utf-8", "surrogateescape"),
        1: lambda: _signed(HEADER, rest, KNOWN["first"]),
        2: lambda: _signed(header, claims, KNOWN["second"]),
        3: lambda: _signed(header or HEADER, claims, STRANGER),
        4: lambda: _confused(header or HEADER, claims),
        5: lambda: _changed(rest),
    }[mode]()
    try:
        token = SIGNATURES.verify(text)
    except BadTokenError as error:
        token = None
        reason = error.reason
    if token is not None:
        _check_taken(text, token)
    elif mode == 1:
        assert not _would_bitgo_send(rest, text), reason


def _timed(data: bytes) -> bytes:
    now = int(time.time())
    for word, seconds in INSTANTS.items():
        data = data.replace(word, str(now + seconds).encode())
    return data


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _signed(header: bytes, claims: bytes, key: RSAPrivateKey) -> str:
    text = _base64(header) + b"." + _base64(claims)
    return (text + b"." + _base64(key.sign(text, PKCS1v15(), SHA256()))).decode()


def _confused(header: bytes, claims: bytes) -> str:
    """Signed with what everybody knows: the public key, as if it were a password."""
    text = _base64(header) + b"." + _base64(claims)
    password = KNOWN["first"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return (text + b"." + _base64(hmac.digest(password, text, hashlib.sha256))).decode()


def _changed(changes: bytes) -> str:
    """A good token, with single characters put in other places."""
    claims = json.dumps({"exp": int(time.time()) + 30, "jti": "1"}).encode()
    text = bytearray(_signed(HEADER, claims, KNOWN["first"]).encode())
    for where, what in zip(changes[::2], changes[1::2], strict=False):
        text[where * len(text) // 256] = what
    return text.decode("utf-8", "surrogateescape")


def _would_bitgo_send(claims: bytes, text: str) -> bool:
    """Plain claims with a lifetime of less than a minute and an id."""
    try:
        document = json.loads(claims)
    except ValueError:
        return False
    return (
        len(text) <= TOKEN_MAX_CHARACTERS
        and isinstance(document, dict)
        and document.keys() == {"exp", "jti"}
        and isinstance(document["exp"], int)
        and not isinstance(document["exp"], bool)
        and time.time() < document["exp"] < time.time() + 60
        and isinstance(document["jti"], str)
        and 0 < len(document["jti"]) <= JTI_MAX_CHARACTERS
    )


def _check_taken(text: str, token: Token) -> None:
    assert len(text) <= TOKEN_MAX_CHARACTERS
    header, claims, signature = text.split(".")
    assert any(_is_signed(f"{header}.{claims}", signature, key) for key in KNOWN.values())
    said: dict[str, Any] = jwt.get_unverified_header(text)
    assert said["alg"] == "RS256"
    assert "crit" not in said
    assert isinstance(token.jti, str)
    assert 0 < len(token.jti) <= JTI_MAX_CHARACTERS
    assert time.time() - 1 < token.expires_at <= time.time() + 60 + 2 * 5


def _is_signed(text: str, signature: str, key: RSAPrivateKey) -> bool:
    try:
        key.public_key().verify(base64.urlsafe_b64decode(signature + "=="), text.encode(), PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True
