"""BitGo's public keys from files: PEM (keys, certificates, or several of them), JWK, or JWK set.

Every key in a file counts, or the file is refused: a key that was passed over would show as 401 when BitGo uses it.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from schemas import strict_json
from service.errors import OperatorError

FILE_MAX_BYTES: Final = 256 * 1024
KEYS_MAX: Final = 16
"""A token that no key fits is compared with all of them."""
KEY_MIN_BITS: Final = 2048
_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)

PublicKeys = Sequence[tuple[str, RSAPublicKey]]
"""Keys with their kid, which need not be unique."""


def load_public_keys(files: Sequence[Path]) -> PublicKeys:
    """All keys of all files. Raises OperatorError for a file that has anything else; never repeats its content."""
    keys = [key for file in files for key in _keys_of(file)]
    if len(keys) > KEYS_MAX:
        raise OperatorError(f"there are {len(keys)} public keys, and at most {KEYS_MAX} are read: remove old ones")
    return keys


def _keys_of(file: Path) -> list[tuple[str, RSAPublicKey]]:
    try:
        with file.open("rb") as opened:
            content = opened.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        raise OperatorError(f"{file} can not be read: {error.strerror}") from None
    if len(content) > FILE_MAX_BYTES:
        raise OperatorError(f"{file} has over {FILE_MAX_BYTES} bytes, too many for public keys")
    try:
        found = list(_json_keys(content) if content.lstrip().startswith(b"{") else _pem_keys(content))
    except _NoKeyError as error:
        raise OperatorError(f"{file} {error}") from None
    if not found:
        raise OperatorError(f"{file} is no public key in PEM form, certificate, JWK or JWK set")
    if any(not isinstance(key, RSAPublicKey) or key.key_size < KEY_MIN_BITS for _, key in found):
        raise OperatorError(f"{file} has a key that is no RSA key of {KEY_MIN_BITS} bits or more")
    return [(kid or file.stem, key) for kid, key in found]


class _NoKeyError(Exception):
    """What is wrong with a file, to be said after its name."""


def _pem_keys(content: bytes) -> Iterator[tuple[None, Any]]:
    if content.count(b"-----BEGIN ") != len(blocks := list(_BLOCK.finditer(content))):
        raise _NoKeyError("is no public key in PEM form: a block has no end")
    for block in blocks:
        if b"PRIVATE" in block[1]:
            raise _NoKeyError("has a private key: only public keys belong here")
        try:
            if block[1] == b"CERTIFICATE":
                yield None, x509.load_pem_x509_certificate(block[0]).public_key()
            else:
                yield None, load_pem_public_key(block[0])
        except (ValueError, UnsupportedAlgorithm):
            raise _NoKeyError(f"is no public key in PEM form: its {block[1].decode()} can not be read") from None


def _json_keys(content: bytes) -> Iterator[tuple[str | None, Any]]:
    try:
        document = strict_json.loads(content)
    except strict_json.NotJsonError:
        raise _NoKeyError("is neither PEM nor JSON") from None
    listed = document.get("keys", [document]) if isinstance(document, dict) else None
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise _NoKeyError("is no JWK and no JWK set")
    for each in listed:
        if "d" in each or "k" in each:
            raise _NoKeyError("has a private key: only public keys belong here")
        kid = each.get("kid")
        if not (kid is None or isinstance(kid, str)) or each.get("kty") != "RSA":
            raise _NoKeyError("has a JWK that is no RSA key")
        if each.get("use", "sig") != "sig" or each.get("alg", "RS256") != "RS256":
            raise _NoKeyError("has a JWK that is not for RS256 signatures")
        try:
            yield kid, jwt.PyJWK(each, algorithm="RS256").key
        except (jwt.PyJWTError, ValueError, TypeError):
            raise _NoKeyError("has a JWK that can not be read") from None
