"""Connection tokens that BitGo encrypted with the platform's public key (contract, section 6).

Two lines of base64. The first: RSA-OAEP with SHA-256 of base64(gcmKey), where gcmKey is itself base64 text of 32 random
bytes. The second: 0x01, salt (16), iv (12), ciphertext and tag (16) of AES-256-GCM, whose key is PBKDF2-SHA256 of the
text gcmKey in 200,000 rounds.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from pydantic import TypeAdapter, ValidationError

from schemas.fields import ConnectionToken

ROUNDS: Final = 200_000
_FORM: Final = re.compile(r"([A-Za-z0-9+/]+={0,2})\n([A-Za-z0-9+/]+={0,2})\n?", re.ASCII)
_VERSION: Final = b"\x01"
_SALT: Final = slice(1, 17)
_IV: Final = slice(17, 29)
_CIPHERTEXT: Final = slice(29, None)
_PADDING: Final = OAEP(MGF1(SHA256()), SHA256(), None)
_TOKEN: Final[TypeAdapter[str]] = TypeAdapter(ConnectionToken)


class NotDecryptedError(Exception):
    """None of the keys opens it, or it was changed on its way."""


def is_encrypted(token: str) -> bool:
    """Whether it has the form of a ciphertext."""
    return _FORM.fullmatch(token) is not None


def decrypt(token: str, keys: Sequence[RSAPrivateKey]) -> str:
    """The token inside. Takes tens of milliseconds, and as long for what no key opens. Raises NotDecryptedError."""
    found = _FORM.fullmatch(token)
    if found is None:
        raise NotDecryptedError
    try:
        wrapped, sealed = (base64.b64decode(part, validate=True) for part in found.groups())
    except ValueError:
        raise NotDecryptedError from None
    secret = _unwrap(wrapped, keys)
    key = hashlib.pbkdf2_hmac("sha256", secret or b"", sealed[_SALT], ROUNDS, 32)
    try:
        if secret is None or sealed[:1] != _VERSION:
            raise NotDecryptedError
        return _TOKEN.validate_python(AESGCM(key).decrypt(sealed[_IV], sealed[_CIPHERTEXT], None).decode())
    except (InvalidTag, ValidationError, ValueError):
        raise NotDecryptedError from None


def _unwrap(wrapped: bytes, keys: Sequence[RSAPrivateKey]) -> bytes | None:
    """gcmKey, by the first key that opens it."""
    for key in keys:
        try:
            return base64.b64decode(key.decrypt(wrapped, _PADDING), validate=True)
        except ValueError:
            continue
    return None
