"""Connection tokens as BitGo's clients encrypt them (contract, section 6)."""

import base64
import hashlib
import secrets

from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256


def encrypted(token: str, key: RSAPrivateKey, version: bytes = b"\x01") -> str:
    """For the owner of `key`."""
    gcm_key = base64.b64encode(secrets.token_bytes(32))
    wrapped = key.public_key().encrypt(base64.b64encode(gcm_key), OAEP(MGF1(SHA256()), SHA256(), None))
    salt, iv = secrets.token_bytes(16), secrets.token_bytes(12)
    sealing = AESGCM(hashlib.pbkdf2_hmac("sha256", gcm_key, salt, 200_000, 32))
    sealed = version + salt + iv + sealing.encrypt(iv, token.encode(), None)
    return f"{base64.b64encode(wrapped).decode()}\n{base64.b64encode(sealed).decode()}"
