"""Connection tokens that BitGo encrypted (contract, section 6)."""

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from ingress.auth.token_cipher import NotDecryptedError, decrypt, is_encrypted
from tests.support.bitgo_cipher import encrypted

OURS, OTHER = (rsa.generate_private_key(65537, 2048) for _ in range(2))


@pytest.mark.parametrize("token", ["t", "two\nlines", "é", "x" * 2000])
def test_given_a_ciphertext_then_it_is_decrypted(token: str) -> None:
    assert is_encrypted(encrypted(token, OURS))
    assert token == decrypt(encrypted(token, OURS), [OURS])


def test_given_several_keys_then_the_one_that_fits_is_found() -> None:
    assert "token" == decrypt(encrypted("token", OURS), [OTHER, OURS])


@pytest.mark.parametrize(
    "text",
    [
        encrypted("token", OTHER),
        encrypted("token", OURS, version=b"\x02"),
        encrypted("token", OURS)[:-4],
        encrypted("token", OURS)[:-8] + "AAAAAAA=",
        encrypted("", OURS),
        encrypted("tab\t", OURS),
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
