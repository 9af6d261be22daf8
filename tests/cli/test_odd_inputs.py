"""Keys, addresses and files that look right and are not: a sentence, and no trace."""

import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cli.main import main
from tests.support.cli import ALLOCATIONS

UNKNOWN_CURVE = """\
-----BEGIN EC PRIVATE KEY-----
MGkCAQEEHQANm8C1zKHtpuVSaALehLS2yFttkSBSmDA42vjboAcGBSuBBAAgoTwD
OgAEGXQKFRSeASnmlnvPI/WWgwiEgKDqPQ5hEE7jQwbsa02PWkM/uWo2b1x9Qugh
P06XxaQ8CXedfwQ=
-----END EC PRIVATE KEY-----
"""


def called(*arguments: object) -> Result:
    result = CliRunner().invoke(main, [str(each) for each in arguments], prog_name="allocations")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "key.pem"
    private = rsa.generate_private_key(65537, 2048)
    file.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return file


@pytest.mark.parametrize("url", ["http://[x", "http://h:99999", "foo", "http:///x"])
def test_given_an_address_that_is_none_then_it_is_said(key: Path, tmp_path: Path, url: str) -> None:
    ledger = tmp_path / "ledger.sqlite"
    for arguments in (
        ("conformance", url, "--key", key),
        ("simulator", "run", "all", "--partner", url, "--key", key, "--ledger", ledger),
        ("simulator", "order", "allocation", "5", "BTC", "--partner", url, "--key", key, "--ledger", ledger),
    ):
        result = called(*arguments)
        assert (2, True) == (result.exit_code, "must be like https://partner.example" in result.stderr), result.stderr


def test_given_more_digits_than_a_quantity_has_then_it_is_said(key: Path, tmp_path: Path) -> None:
    digits = "9" * 5000
    partner = ("--partner", "http://127.0.0.1:9", "--key", key, "--ledger", tmp_path / "ledger.sqlite")
    assert "whole number of base units" in called("simulator", "order", "allocation", digits, "BTC", *partner).stderr
    result = called("conformance", "http://127.0.0.1:9", "--key", key, "--amount", f"BTC:{digits}")
    assert "a quantity in base units" in result.stderr


def test_given_a_key_on_an_unknown_curve_then_it_is_no_rsa_key(tmp_path: Path) -> None:
    file = tmp_path / "curve.pem"
    file.write_text(UNKNOWN_CURVE)
    assert "no private RSA key" in called("token", "--key", file).stderr


@pytest.mark.parametrize("content", [b"", b"two lines\nof it", b"\xff", b"a\0b"])
def test_given_a_token_that_is_none_then_it_is_said(key: Path, tmp_path: Path, content: bytes) -> None:
    token = tmp_path / "token"
    token.write_bytes(content)
    partner = ("--partner", "http://127.0.0.1:9", "--key", key, "--ledger", tmp_path / "ledger.sqlite")
    result = called("simulator", "order", "allocation", "5", "BTC", *partner, "--operator-token", token)
    assert (2, True) == (result.exit_code, "--operator-token" in result.stderr)


@pytest.mark.parametrize("content", [b"junk" * 1000, b"\0" * 4096])
def test_given_a_ledger_that_is_none_then_it_is_said_and_left_alone(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "ledger.sqlite"
    file.write_bytes(content)
    result = called("simulator", "check", "--ledger", file)
    assert (2, True) == (result.exit_code, "is no ledger" in result.stderr)
    assert content == file.read_bytes()


@pytest.mark.slow
def test_given_a_full_disk_behind_the_output_then_it_is_said() -> None:
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run([ALLOCATIONS, "settings"], stdout=full, stderr=subprocess.PIPE, check=False, text=True)  # noqa: S603
    assert (1, "Error: [Errno 28] No space left on device\n") == (ran.returncode, ran.stderr)


@pytest.mark.slow
def test_given_a_reader_that_has_enough_then_nothing_is_said() -> None:
    with subprocess.Popen([ALLOCATIONS, "settings"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:  # noqa: S603
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert (b"", 1) == (process.stderr.read(), process.wait())
