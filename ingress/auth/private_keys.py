"""The platform's private keys, for connection tokens that BitGo encrypts (contract, section 6). PEM, as public keys."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from service.errors import OperatorError

FILE_MAX_BYTES: Final = 256 * 1024
KEYS_MAX: Final = 4
"""A token that no key fits is tried with all of them."""
KEY_MIN_BITS: Final = 2048
_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)


def load_private_keys(files: Sequence[Path]) -> list[RSAPrivateKey]:
    """All keys of all files. Raises OperatorError for a file that has anything else; never repeats its content."""
    keys = [key for file in files for key in _keys_of(file)]
    if len(keys) > KEYS_MAX:
        raise OperatorError(f"there are {len(keys)} private keys, and at most {KEYS_MAX} are tried: remove old ones")
    return keys


def _keys_of(file: Path) -> Iterator[RSAPrivateKey]:
    try:
        with file.open("rb") as opened:
            content = opened.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        raise OperatorError(f"{file} can not be read: {error.strerror}") from None
    if len(content) > FILE_MAX_BYTES:
        raise OperatorError(f"{file} has over {FILE_MAX_BYTES} bytes, too many for private keys")
    blocks = list(_BLOCK.finditer(content))
    if not blocks or content.count(b"-----BEGIN ") != len(blocks):
        raise OperatorError(f"{file} is no private key in PEM form")
    for block in blocks:
        try:
            key = load_pem_private_key(block[0], None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            what = block[1].decode()
            raise OperatorError(f"{file} has a block that is no private key, or has a passphrase: {what}") from None
        if not isinstance(key, RSAPrivateKey) or key.key_size < KEY_MIN_BITS:
            raise OperatorError(f"{file} has a key that is no RSA key of {KEY_MIN_BITS} bits or more")
        yield key
