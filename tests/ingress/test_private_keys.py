"""The platform's private keys, from files that hold nothing else."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from ingress.auth.private_keys import load_private_keys
from service.errors import OperatorError

KEY = rsa.generate_private_key(65537, 2048)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, lock: KeySerializationEncryption | None = None) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock or NoEncryption())


def test_given_several_keys_in_files_then_all_are_loaded(tmp_path: Path) -> None:
    one, two = tmp_path / "one.pem", tmp_path / "two.pem"
    one.write_bytes(pem(KEY))
    two.write_bytes(pem(KEY) + pem(KEY))
    assert 3 == len(load_private_keys([one, two]))
    assert [] == load_private_keys([])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hunter2hunter2",
        pem(KEY)[:-30],
        pem(KEY, BestAvailableEncryption(b"hunter2hunter2")),
        KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        pem(ec.generate_private_key(ec.SECP256R1())),
        pem(rsa.generate_private_key(65537, 1024)),  # noqa: S505 - it is refused
        pem(KEY) * 5,
    ],
)
def test_given_anything_else_then_a_sentence_says_so(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "platform.pem"
    file.write_bytes(content)
    with pytest.raises(OperatorError) as caught:
        load_private_keys([file])
    assert "private key" in str(caught.value) or "no RSA key" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_given_no_file_then_a_sentence_says_so(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="can not be read"):
        load_private_keys([tmp_path / "missing.pem"])
