"""Bitcoin's message signature by a Go Account key (contract, sections 7 and 10)."""

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256K1, EllipticCurvePublicKey, derive_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from bitgo.simulator import signatures
from bitgo.simulator.signatures import ORDER, is_signed_by, load_public_key, new_key, public_hex, sign

KEY = derive_private_key(1, SECP256K1())
MESSAGE = "vires is numeris"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=400)
SECRETS = st.integers(1, ORDER - 1)


def test_the_digest_is_bitcoins() -> None:
    """By hand: 0x18, the words, the length, the text, hashed twice."""
    inner = b"\x18Bitcoin Signed Message:\n" + b"\x10" + MESSAGE.encode()
    assert hashlib.sha256(hashlib.sha256(inner).digest()).digest() == signatures.message_digest(MESSAGE)


def test_a_signature_of_bitcoins_own_library_is_accepted() -> None:
    """The example in the README of bitcoinjs-message, with which BitGo signs."""
    key = load_public_key("03a34b99f22c790c4e36b2b3c2c35a36db06226e41c692fc82b8b56ac1c540c5bd")
    signature = base64.b64decode(
        "H9L5yLFjti0QTHhPyFrZCT1V/MMnBtXKmoiKDZ78NDBjERki6ZTQZdSMCtkgoNmp17By9ItJr8o7ChX0XxY91nk="
    ).hex()
    assert is_signed_by(key, "This is an example of a signed message.", signature)


@pytest.mark.parametrize(("length", "prefix"), [(252, "fc"), (253, "fdfd00"), (65535, "fdffff"), (65536, "fe00000100")])
def test_the_length_is_bitcoins(length: int, prefix: str) -> None:
    assert prefix == signatures._varint(length).hex()


@pytest.mark.slow
@given(SECRETS, TEXTS)
def test_what_is_signed_is_accepted(secret: int, message: str) -> None:
    key = derive_private_key(secret, SECP256K1())
    signature = sign(key, message)
    assert int(signature[:2], 16) in (31, 32, 33, 34)
    assert int(signature[66:], 16) <= ORDER // 2
    assert is_signed_by(key.public_key(), message, signature)


@given(TEXTS, st.integers(0, 129), st.integers(1, 15))
def test_one_changed_digit_is_a_wrong_signature(message: str, place: int, by: int) -> None:
    signature = sign(KEY, message)
    changed = signature[:place] + f"{int(signature[place], 16) ^ by:x}" + signature[place + 1 :]
    same_key_in_its_long_form = int(changed[:2], 16) - int(signature[:2], 16) in (-4, 4)
    if not same_key_in_its_long_form or changed[2:] != signature[2:]:
        assert not is_signed_by(KEY.public_key(), message, changed)


@pytest.mark.parametrize("header", [header for header in range(256) if header not in range(27, 35)])
def test_other_headers_are_refused(header: int) -> None:
    assert not is_signed_by(KEY.public_key(), MESSAGE, f"{header:02x}{sign(KEY, MESSAGE)[2:]}")


def test_only_the_true_header_is_accepted() -> None:
    for _ in range(20):
        signature = sign(KEY, MESSAGE)
        accepted = [
            f"{each:02x}"
            for each in range(31, 35)
            if is_signed_by(KEY.public_key(), MESSAGE, f"{each:02x}{signature[2:]}")
        ]
        assert [signature[:2]] == accepted


def test_the_larger_s_is_a_signature_with_the_other_header() -> None:
    signature = sign(KEY, MESSAGE)
    header, s = int(signature[:2], 16), int(signature[66:], 16)
    other = f"{31 + ((header - 31) ^ 1):02x}{signature[2:66]}{ORDER - s:064x}"
    assert is_signed_by(KEY.public_key(), MESSAGE, other)
    assert not is_signed_by(KEY.public_key(), MESSAGE, f"{header:02x}{other[2:]}")


@pytest.mark.parametrize("signature", ["", "00", "g" * 130, "1f" + "0" * 128, "1f" + "f" * 128, "é" * 130])
def test_what_is_no_signature_is_refused(signature: str) -> None:
    assert not is_signed_by(KEY.public_key(), MESSAGE, signature)


def test_another_key_or_message_is_refused() -> None:
    assert not is_signed_by(new_key().public_key(), MESSAGE, sign(KEY, MESSAGE))
    assert not is_signed_by(KEY.public_key(), MESSAGE + " ", sign(KEY, MESSAGE))


def test_the_key_with_the_same_x_is_another_key() -> None:
    negative = derive_private_key(ORDER - 1, SECP256K1())
    assert KEY.public_key().public_numbers().x == negative.public_key().public_numbers().x
    assert not is_signed_by(KEY.public_key(), MESSAGE, sign(negative, MESSAGE))


def test_a_public_key_is_read_in_all_its_forms() -> None:
    public = KEY.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    long = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint).hex()
    for text in (pem, long, public_hex(public), public_hex(public).upper() + "\n"):
        loaded: EllipticCurvePublicKey = load_public_key(text)
        assert public.public_numbers() == loaded.public_numbers()


@pytest.mark.parametrize("text", ["", "02", "02" + "f" * 64, "no key"])
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        load_public_key(text)


def test_a_private_key_goes_through_a_file() -> None:
    key = new_key()
    assert key.private_numbers() == signatures.load_signing_key(signatures.private_pem(key)).private_numbers()
