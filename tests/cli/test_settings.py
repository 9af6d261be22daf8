"""Settings that can not be, and an address that needs TLS: a sentence that names the variable, and status 78."""

import socket
from typing import Any

import pytest

from cli.serve import read_settings
from ingress.http.server import check_address
from ingress.settings import IngressSettings
from processor.settings import ProcessorSettings
from service.errors import EXIT_OPERATOR, OperatorError

GOOD = {
    "INGRESS_POSTGRES_URL": "postgresql://",
    "INGRESS_ENTERPRISE_ID": "e",
    "INGRESS_BITGO_PUBLIC_KEY_FILES": "bitgo.pem",
    "PROCESSOR_POSTGRES_URL": "postgresql://",
    "PROCESSOR_INSTANCE_ID": "processor-0",
}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("INGRESS_REJECTED_AS", "201", "INGRESS_REJECTED_AS"),
        ("INGRESS_BASE_PATH", "no/slash", "INGRESS_BASE_PATH"),
        ("INGRESS_ENTERPRISE_ID", "", "INGRESS_ENTERPRISE_ID"),
        ("INGRESS_TOKEN_LEEWAY_SECONDS", "soon", "INGRESS_TOKEN_LEEWAY_SECONDS"),
        ("PROCESSOR_LIMITS", '{"BTC": -1}', "PROCESSOR_LIMITS"),
        ("PROCESSOR_LIMITS", "{", "PROCESSOR_LIMITS: must be JSON"),
        ("PROCESSOR_INSTANCE_ID", "", "PROCESSOR_INSTANCE_ID"),
    ],
)
def test_a_setting_that_can_not_be(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str, words: str
) -> None:
    for each, given in (GOOD | {name: value}).items():
        monkeypatch.setenv(each, given)
    with pytest.raises(SystemExit) as ended:
        read_settings(IngressSettings if name.startswith("INGRESS") else ProcessorSettings)
    assert EXIT_OPERATOR == ended.value.code
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(("host", "refused"), [("0.0.0.0", True), ("127.0.0.1", False)])  # noqa: S104
def test_an_inherited_socket_counts_by_its_own_address(host: str, refused: bool) -> None:  # noqa: FBT001
    with socket.socket() as inherited:
        inherited.bind((host, 0))
        settings = plaintext_settings(listen_fd=inherited.fileno())
        if refused:
            with pytest.raises(OperatorError, match="without TLS"):
                check_address(settings)
        else:
            check_address(settings)
        assert inherited.getsockname()[1], "it is still open"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost", "::ffff:127.0.0.1"])
def test_this_machine_needs_no_tls(host: str) -> None:
    check_address(plaintext_settings(host=host))


def plaintext_settings(**given: Any) -> IngressSettings:
    return IngressSettings(
        postgres_url="postgresql://",  # type: ignore[arg-type]
        enterprise_id="e",
        bitgo_public_key_files=("bitgo.pem",),  # type: ignore[arg-type]
        port=0,
        **given,
    )
