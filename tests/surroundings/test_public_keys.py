"""BitGo's keys in every form in which they come: all of a file count, or it is refused."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID
from jwt.algorithms import RSAAlgorithm

from bitgo.client import sign
from ingress.auth.public_keys import KEY_MIN_BITS, KEYS_MAX, load_public_keys
from ingress.auth.signatures import Signatures
from service.errors import EXIT_OPERATOR, OperatorError
from tests.support.cli import run

ONE, TWO = rsa.generate_private_key(65537, 2048), rsa.generate_private_key(65537, 2048)
ELLIPTIC = ec.generate_private_key(ec.SECP256R1())


def pem(key: Any, form: PublicFormat = PublicFormat.SubjectPublicKeyInfo) -> str:
    return str(key.public_key().public_bytes(Encoding.PEM, form).decode())


def certificate(key: rsa.RSAPrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bitgo")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, SHA256())
    )
    return made.public_bytes(Encoding.PEM).decode()


def jwk(key: rsa.RSAPrivateKey, **members: Any) -> dict[str, Any]:
    return RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) | members


FORMS: dict[str, Callable[[], list[str]]] = {
    "one file each": lambda: [pem(ONE), pem(TWO)],
    "a PEM with two keys": lambda: [pem(ONE) + pem(TWO)],
    "PKCS1 and comments": lambda: ["old:\n" + pem(ONE, PublicFormat.PKCS1) + "\nnew:\n" + pem(TWO)],
    "a certificate and a key": lambda: [certificate(ONE) + pem(TWO)],
    "two JWKs": lambda: [json.dumps(jwk(ONE)), json.dumps(jwk(TWO, kid="two", use="sig", alg="RS256"))],
    "a JWK set": lambda: [json.dumps({"keys": [jwk(ONE, kid="one"), jwk(TWO, kid="two")]})],
    "a JWK set without kid": lambda: [json.dumps({"keys": [jwk(ONE), jwk(TWO)]})],
}


def files(folder: Path, contents: list[str]) -> list[Path]:
    """All of one name, in folders of their own."""
    made = []
    for number, content in enumerate(contents):
        (folder / str(number)).mkdir()
        made.append(folder / str(number) / "bitgo.pem")
        made[-1].write_text(content)
    return made


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_every_key_counts(tmp_path: Path, form: Callable[[], list[str]]) -> None:
    keys = load_public_keys(files(tmp_path, form()))
    signatures = Signatures(keys, leeway_seconds=5, max_age_seconds=60, require_jti=True)
    assert 2 == len(keys)
    for each in (ONE, TWO):
        assert signatures.verify(sign(each)).jti


REFUSED: dict[str, tuple[str, str]] = {
    "a private key": (
        pem(ONE) + ONE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        "has a private key",
    ),
    "a private JWK": (json.dumps(RSAAlgorithm.to_jwk(ONE, as_dict=True)), "has a private key"),
    "an elliptic key beside": (pem(ONE) + pem(ELLIPTIC), "no RSA key of 2048 bits"),
    "a short key": (pem(rsa.generate_private_key(65537, KEY_MIN_BITS // 2)), "no RSA key of 2048 bits"),
    "an elliptic JWK": (json.dumps({"keys": [jwk(ONE), {"kty": "EC", "crv": "P-256"}]}), "no RSA key"),
    "a JWK for encryption": (json.dumps(jwk(ONE, use="enc")), "not for RS256 signatures"),
    "a JWK without a modulus": (json.dumps({"kty": "RSA", "e": "AQAB"}), "a JWK that can not be read"),
    "a kid that is no text": (json.dumps(jwk(ONE, kid=5)), "no RSA key"),
    "an empty set": ('{"keys": []}', "no public key in PEM form"),
    "JSON that is cut off": (json.dumps(jwk(ONE))[:-5], "neither PEM nor JSON"),
    "a PEM that is cut off": (pem(ONE) + pem(TWO)[:-40], "a block has no end"),
    "a PEM that is damaged": (pem(ONE).replace("MII", "MIJ"), "can not be read"),
    "an empty file": ("", "no public key in PEM form"),
    "too many": (pem(ONE) * (KEYS_MAX + 1), "at most"),
    "a large file": (" " * 300_000, "too many"),
}


@pytest.mark.parametrize(("content", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_a_file_with_anything_else_is_refused(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(OperatorError, match=words) as refused:
        load_public_keys(files(tmp_path, [content]))
    assert "BEGIN" not in str(refused.value)


async def test_the_ingress_says_so(settings: dict[str, str], tmp_path: Path) -> None:
    file, missing = files(tmp_path, [REFUSED["a private key"][0]])[0], tmp_path / "missing.pem"
    for given, words in ((file, "has a private key"), (missing, "can not be read: No such file")):
        ran = await run("ingress", **settings | {"INGRESS_BITGO_PUBLIC_KEY_FILES": str(given)})
        assert EXIT_OPERATOR == ran.status
        assert f"{given} {words}" in ran.err
