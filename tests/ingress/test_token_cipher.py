"""Connection tokens that BitGo encrypted, made here as its clients make them (contract, section 6)."""

import base64
import hashlib
import secrets

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256

from ingress.auth.token_cipher import NotDecryptedError, decrypt, is_encrypted

OURS, OTHER = (rsa.generate_private_key(65537, 2048) for _ in range(2))


def encrypted(token: str, key: RSAPrivateKey = OURS, version: bytes = b"\x01") -> str:
    gcm_key = base64.b64encode(secrets.token_bytes(32))
    wrapped = key.public_key().encrypt(base64.b64encode(gcm_key), OAEP(MGF1(SHA256()), SHA256(), None))
    salt, iv = secrets.token_bytes(16), secrets.token_bytes(12)
    sealing = AESGCM(hashlib.pbkdf2_hmac("sha256", gcm_key, salt, 200_000, 32))
    sealed = version + salt + iv + sealing.encrypt(iv, token.encode(), None)
    return f"{base64.b64encode(wrapped).decode()}\n{base64.b64encode(sealed).decode()}"


@pytest.mark.parametrize("token", ["t", "two\nlines", "é", "x" * 2000])
def test_given_a_ciphertext_then_it_is_decrypted(token: str) -> None:
    assert is_encrypted(encrypted(token))
    assert token == decrypt(encrypted(token), [OURS])


def test_given_several_keys_then_the_one_that_fits_is_found() -> None:
    assert "token" == decrypt(encrypted("token"), [OTHER, OURS])


@pytest.mark.parametrize(
    "text",
    [
        encrypted("token", OTHER),
        encrypted("token", version=b"\x02"),
        encrypted("token")[:-4],
        encrypted("token")[:-8] + "AAAAAAA=",
        encrypted(""),
        encrypted("tab\t"),
        "AAAA\nAAAA",
        "A\nA",
        "no ciphertext",
    ],
)
def test_given_anything_else_then_it_is_not_decrypted(text: str) -> None:
    with pytest.raises(NotDecryptedError):
        decrypt(text, [OURS])


@pytest.mark.parametrize("text", ["token", "two\nlines of words", "a\nb\nc", "", "\n"])
def test_given_a_plain_token_then_it_has_not_the_form_of_a_ciphertext(text: str) -> None:
    assert not is_encrypted(text)
