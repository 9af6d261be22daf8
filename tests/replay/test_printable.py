"""Whatever the bytes are, one printable line comes of them."""

from hypothesis import given
from hypothesis import strategies as st

from replay.printable import printable


@given(st.binary(max_size=300), st.integers(1, 100))
def test_every_bytes_print_safely(content: bytes, longest: int) -> None:
    assert printable(content, longest).isprintable()


def test_what_is_readable_stays_so_and_what_is_cut_says_so() -> None:
    assert "none" == printable(None, 10)
    assert "café" == printable("café".encode(), 10)
    assert r"\x1b[2J\n\u202e\xff" == printable("\x1b[2J\n\u202e".encode() + b"\xff", 20)
    assert "abc … (6 bytes)" == printable(b"abcdef", 3)
