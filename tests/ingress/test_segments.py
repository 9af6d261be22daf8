"""The short way through a token's segments (ingress/auth/signatures.py) judges as PyJWT does."""

import hashlib
import inspect
from base64 import urlsafe_b64encode

import jwt
from hypothesis import example, given
from hypothesis import strategies as st

from ingress.auth.signatures import _Jws

SEGMENTS = st.one_of(
    st.binary(max_size=40).map(urlsafe_b64encode),
    st.binary(max_size=40).map(lambda content: urlsafe_b64encode(content).rstrip(b"=")),
    st.text("ABab01-_+/=! .\n", max_size=12).map(str.encode),
    st.binary(max_size=12),
)


def judged(jws: type[jwt.PyJWS], segment: bytes) -> bytes | None:
    try:
        return jws._decode_base64url_segment(segment, "payload")
    except jwt.DecodeError:
        return None


@given(SEGMENTS)
@example(b"")
@example(b"QQ")
@example(b"QR")
@example(b"QQ==")
@example(b"Q\nQ")
def test_a_segment_is_what_it_is_for_the_library(segment: bytes) -> None:
    assert judged(jwt.PyJWS, segment) == judged(_Jws, segment)


def test_the_library_still_asks_what_we_answer() -> None:
    """When this fails after an upgrade: read how PyJWT takes tokens apart now, then write the new digests."""
    sources = [inspect.getsource(each) for each in (jwt.PyJWS._decode_base64url_segment, jwt.PyJWS._load)]
    assert ["c00c1d4615f8809d", "431d1ff11ddaa78d"] == [
        hashlib.sha256(source.encode()).hexdigest()[:16] for source in sources
    ]
    assert isinstance(jwt.PyJWT()._jws, jwt.PyJWS)
