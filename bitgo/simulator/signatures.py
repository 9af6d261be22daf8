"""Signatures by a Go Account key: Bitcoin's message signature, as BitGo Express makes it (contract, sections 7 and 10).

65 bytes in hex: a header, r, s. The header (31 to 34 for the compressed key that BitGo uses, 27 to 30 for the long
form) names the one public key of up to four that r and s fit; BitGo recovers that key, so a wrong header is a wrong
signature.
"""

import hashlib
import re
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256K1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    derive_private_key,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

ORDER: Final = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
"""Of the group that SECP256K1 generates (SEC 2, section 2.4.1)."""
_FIELD: Final = 2**256 - 2**32 - 977
_PREFIX: Final = b"\x18Bitcoin Signed Message:\n"
_COMPRESSED: Final = 31
_LONG: Final = 27
_SIGNATURE: Final = re.compile(r"[0-9a-fA-F]{130}", re.ASCII)
_POINT: Final = re.compile(r"0[23][0-9a-fA-F]{64}|04[0-9a-fA-F]{128}", re.ASCII)
_ALGORITHM: Final = ECDSA(Prehashed(SHA256()))


def new_key() -> EllipticCurvePrivateKey:
    return generate_private_key(SECP256K1())


def load_signing_key(pem: bytes) -> EllipticCurvePrivateKey:
    """Raises ValueError when the text is no secp256k1 private key without a password."""
    try:
        key = load_pem_private_key(pem, None)
    except TypeError:
        raise ValueError("the key has a password") from None
    except UnsupportedAlgorithm as error:
        raise ValueError(str(error)) from error
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256K1):
        raise ValueError("not a secp256k1 key")  # noqa: TRY004 - the text is wrong, whatever it holds
    return key


def load_public_key(text: str) -> EllipticCurvePublicKey:
    """A point in hex (33 or 65 bytes), or PEM. Raises ValueError when it is no secp256k1 public key."""
    if _POINT.fullmatch(text.strip()):
        return EllipticCurvePublicKey.from_encoded_point(SECP256K1(), bytes.fromhex(text.strip()))
    try:
        key = load_pem_public_key(text.encode())
    except UnsupportedAlgorithm as error:
        raise ValueError(str(error)) from error
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256K1):
        raise ValueError("not a secp256k1 key")  # noqa: TRY004 - the text is wrong, whatever it holds
    return key


def private_pem(key: EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_hex(key: EllipticCurvePublicKey) -> str:
    return key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint).hex()


def sign(key: EllipticCurvePrivateKey, message: str) -> str:
    """With the header of a compressed key and the smaller s, as Bitcoin's libraries make it."""
    digest = message_digest(message)
    r, s = decode_dss_signature(key.sign(digest, _ALGORITHM))
    once = (int.from_bytes(digest) + r * key.private_numbers().private_value) * pow(s, -1, ORDER) % ORDER
    point = derive_private_key(once, SECP256K1()).public_key().public_numbers()
    recovery = (point.y & 1) | (2 if point.x >= ORDER else 0)
    if s > ORDER // 2:
        s, recovery = ORDER - s, recovery ^ 1
    return (bytes([_COMPRESSED + recovery]) + r.to_bytes(32) + s.to_bytes(32)).hex()


def is_signed_by(key: EllipticCurvePublicKey, message: str, signature: str) -> bool:
    if not _SIGNATURE.fullmatch(signature):
        return False
    header, r, s = _parts(bytes.fromhex(signature))
    if header not in range(_LONG, _COMPRESSED + 4) or not (0 < r < ORDER and 0 < s < ORDER):
        return False
    digest = message_digest(message)
    return _verifies(key, digest, r, s) and _recovers(key, digest, r, s, (header - _LONG) & 3)


def message_digest(message: str) -> bytes:
    text = message.encode()
    return hashlib.sha256(hashlib.sha256(_PREFIX + _varint(len(text)) + text).digest()).digest()


def _recovers(key: EllipticCurvePublicKey, digest: bytes, r: int, s: int, recovery: int) -> bool:
    """Whether recovery from this header arrives at `key` = (s R - z G) / r, R being the point that the header names.

    Written as the verification of a signature by R whose r is the key's own x, so that the library computes it.
    """
    x = r + ORDER * (recovery >> 1)
    if x >= _FIELD:
        return False
    try:
        named = EllipticCurvePublicKey.from_encoded_point(SECP256K1(), bytes([2 + (recovery & 1)]) + x.to_bytes(32))
    except ValueError:
        return False
    own = key.public_numbers().x % ORDER
    shared = own * pow(s, -1, ORDER) % ORDER
    return _verifies(named, (-int.from_bytes(digest) * shared % ORDER).to_bytes(32), own, r * shared % ORDER)


def _verifies(key: EllipticCurvePublicKey, digest: bytes, r: int, s: int) -> bool:
    try:
        key.verify(encode_dss_signature(r, s), digest, _ALGORITHM)
    except InvalidSignature:
        return False
    return True


def _parts(signature: bytes) -> tuple[int, int, int]:
    return signature[0], int.from_bytes(signature[1:33]), int.from_bytes(signature[33:])


def _varint(value: int) -> bytes:
    """Bitcoin's length prefix."""
    if value < 0xFD:  # noqa: PLR2004
        return bytes([value])
    if value <= 0xFFFF:  # noqa: PLR2004
        return b"\xfd" + value.to_bytes(2, "little")
    return b"\xfe" + value.to_bytes(4, "little")
