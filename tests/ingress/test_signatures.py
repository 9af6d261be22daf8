"""Which tokens are valid, and why the others are not (contract, section 4)."""

import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from bitgo.client import sign
from ingress.auth.signatures import BadTokenError, Signatures

KEY, OTHER, STRANGER = (generate_private_key(65537, 2048) for _ in range(3))
LEEWAY, MAX_AGE = 5.0, 60.0


def signatures(*, require_jti: bool = True, **keys: RSAPrivateKey) -> Signatures:
    named = [(kid, key.public_key()) for kid, key in (keys or {"bitgo": KEY}).items()]
    return Signatures(named, leeway_seconds=LEEWAY, max_age_seconds=MAX_AGE, require_jti=require_jti)


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    document = {"iat": now, "exp": now + 30, "jti": str(uuid.uuid4())} | changes
    return {name: value for name, value in document.items() if value is not None}


def signed(key: RSAPrivateKey = KEY, algorithm: str = "RS256", kid: str | None = None, **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm, headers={"kid": kid} if kid else None)


def raw(payload: bytes) -> str:
    """A well signed token with any payload."""
    return jwt.api_jws.encode(payload, KEY, "RS256")


def at(seconds: float) -> int:
    return int(time.time() + seconds)


def part(document: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def hs256_with_the_public_key() -> str:
    """The classic confusion: BitGo's public key as the secret of a symmetric signature."""
    pem = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    text = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims())}"
    digest = hmac.new(pem, text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


BAD: dict[str, tuple[str, Callable[[], str | None]]] = {
    "none at all": ("missing", lambda: None),
    "empty": ("missing", lambda: ""),
    "7,000 characters": ("too_long", lambda: "x" * 7000),
    "7,000 characters, signed": ("too_long", lambda: signed(more="x" * 4800)),
    "alg none": ("algorithm", lambda: f"{part({'alg': 'none'})}.{part(claims())}."),
    "HS256 with the public key": ("algorithm", hs256_with_the_public_key),
    "RS512": ("algorithm", lambda: signed(algorithm="RS512")),
    "PS256": ("algorithm", lambda: signed(algorithm="PS256")),
    "another key": ("wrong_signature", lambda: sign(STRANGER)),
    "a stranger with a kid": ("wrong_signature", lambda: signed(STRANGER, kid="unknown")),
    "signature without its last letter": ("malformed", lambda: sign(KEY)[:-1]),
    "signature without its last byte": ("wrong_signature", lambda: sign(KEY)[:-2]),
    "payload changed": ("wrong_signature", lambda: _with_another_payload(signed())),
    "expired": ("expired", lambda: signed(exp=at(-10))),
    "too long-lived": ("too_long_lived", lambda: signed(exp=at(75))),
    "not valid yet": ("not_yet_valid", lambda: signed(nbf=at(30))),
    "issued in the future": ("not_yet_valid", lambda: signed(iat=at(30))),
    "no exp": ("claim_missing", lambda: signed(exp=None)),
    "no jti": ("claim_missing", lambda: signed(jti=None)),
    "empty jti": ("malformed", lambda: signed(jti="")),
    "jti is a number": ("malformed", lambda: raw(json.dumps(claims(jti=5)).encode())),
    "jti of 2,000 characters": ("malformed", lambda: signed(jti="x" * 2000)),
    "exp is text": ("malformed", lambda: raw(json.dumps(claims(exp="soon")).encode())),
    "exp is digits in text": ("malformed", lambda: raw(json.dumps(claims(exp=str(at(30)))).encode())),
    "exp is true": ("expired", lambda: raw(json.dumps(claims(exp=True)).encode())),
    "exp is infinite": ("malformed", lambda: raw(b'{"exp": 1e999, "jti": "a"}')),
    "exp is huge": ("malformed", lambda: raw(b'{"exp": 1' + b"0" * 400 + b', "jti": "a"}')),
    "exp has 2,500 digits": ("malformed", lambda: raw(b'{"jti": "a", "exp": ' + b"1" * 2500 + b"}")),
    "claims are a list": ("malformed", lambda: raw(b"[1]")),
    "claims are deep": ("malformed", lambda: raw(b"[" * 2500)),
    "claims are no JSON": ("malformed", lambda: raw(b"\xff")),
    "garbage": ("malformed", lambda: "not a token"),
    "dots": ("malformed", lambda: ".."),
    "Latin-1": ("malformed", lambda: "é" * 30),
}


def _with_another_payload(token: str) -> str:
    head, _, signature = token.split(".")
    return f"{head}.{part(claims(jti='another'))}.{signature}"


@pytest.mark.parametrize("case", BAD)
def test_given_a_bad_token_then_the_reason_is_known(case: str) -> None:
    reason, make = BAD[case]
    with pytest.raises(BadTokenError) as caught:
        signatures().verify(make())
    assert reason == caught.value.reason


@given(st.text(max_size=200) | st.binary(max_size=200).map(raw))
def test_given_any_text_then_it_is_refused_and_nothing_else_is_raised(text: str) -> None:
    with pytest.raises(BadTokenError):
        signatures().verify(text)


def test_given_a_good_token_then_its_jti_its_end_and_its_hash_are_kept() -> None:
    text, end = signed(jti="one"), at(20)
    token = signatures().verify(signed(jti="one", exp=end))
    assert ("one", end + LEEWAY) == (token.jti, token.expires_at)
    assert hashlib.sha256(text.encode()).digest() == signatures().verify(text).hash


@pytest.mark.parametrize("exp", [-LEEWAY / 2, MAX_AGE + LEEWAY / 2])
def test_given_a_clock_that_differs_then_the_leeway_counts_at_both_ends(exp: float) -> None:
    assert signatures().verify(signed(exp=at(exp)))


def test_given_claims_that_are_not_ours_then_they_do_no_harm() -> None:
    assert signatures().verify(signed(aud="us", iss="bitgo", sub="x"))


def test_given_no_need_for_a_jti_then_a_token_may_lack_it() -> None:
    assert signatures(require_jti=False).verify(signed(jti=None)).jti is None


@pytest.mark.parametrize("kid", [None, "unknown"])
@pytest.mark.parametrize("key", [KEY, OTHER], ids=["first", "second"])
def test_given_two_keys_and_no_kid_of_theirs_then_both_are_tried(key: RSAPrivateKey, kid: str | None) -> None:
    assert signatures(old=KEY, new=OTHER).verify(signed(key, kid=kid))


def test_given_a_kid_that_names_a_key_then_it_is_that_key_or_none() -> None:
    assert signatures(old=KEY, new=OTHER).verify(signed(OTHER, kid="new"))
    for key, kid in ((OTHER, "old"), (KEY, "new"), (STRANGER, "new")):
        with pytest.raises(BadTokenError, match="wrong_signature"):
            signatures(old=KEY, new=OTHER).verify(signed(key, kid=kid))
