"""What `allocations doctor --production` says of settings and files, without any server."""

import json
from pathlib import Path

import pytest

from local.credentials import development_key
from local.ports import reserve_port
from tests.doctor.conftest import Looked, look
from tests.support.certificates import Issued, issued
from tests.support.cli import run


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An ingress's, of servers that are not there."""
    _, public = development_key(tmp_path)
    nowhere = f"127.0.0.1:{reserve_port()}"
    return {
        "INGRESS_POSTGRES_URL": f"postgresql://u:hunter2hunter2@{nowhere}/d",
        "INGRESS_KAFKA_BOOTSTRAP_SERVERS": nowhere,
        "INGRESS_ENTERPRISE_ID": "enterprise",
        "INGRESS_BITGO_PUBLIC_KEY_FILES": str(public),
    }


async def with_certificate(environment: dict[str, str], folder: Path, chain: list[Issued], key: Issued) -> Looked:
    certificate, secret = folder / "tls.crt", folder / "tls.key"
    certificate.write_bytes(b"".join(each.pem for each in chain))
    secret.write_bytes(key.key_pem)
    secret.chmod(0o600)
    files = {"INGRESS_TLS_CERTIFICATE_FILE": str(certificate), "INGRESS_TLS_KEY_FILE": str(secret)}
    return await look(**environment | files)


async def test_given_a_certificate_and_its_chain(environment: dict[str, str], tmp_path: Path) -> None:
    root = issued("root")
    leaf = issued("leaf", root)
    looked = await with_certificate(environment, tmp_path, [leaf, root], leaf)
    assert "CN=leaf" in looked.said("ok", "TLS certificate")
    assert "" == looked.said("fail", "TLS certificate") + looked.said("warn", "TLS certificate")


async def test_given_a_chain_in_the_wrong_order(environment: dict[str, str], tmp_path: Path) -> None:
    root = issued("root")
    between = issued("between", root)
    leaf = issued("leaf", between)
    looked = await with_certificate(environment, tmp_path, [leaf, root, between], leaf)
    assert "CN=leaf is not signed by the one after it, CN=root" in looked.said("fail", "TLS certificate")


async def test_given_the_authority_first_then_the_key_does_not_fit(environment: dict[str, str], tmp_path: Path) -> None:
    root = issued("root")
    leaf = issued("leaf", root)
    looked = await with_certificate(environment, tmp_path, [root, leaf], leaf)
    assert "can not be loaded" in looked.said("fail", "TLS certificate")


@pytest.mark.parametrize(
    ("begins", "ends", "verdict", "words"),
    [
        (-20, -1, "fail", "CN=leaf"),
        (5, 100, "fail", "begins on"),
        (-20, 10, "warn", "ends on"),
        (-1, 100, "ok", "ends on"),
    ],
)
async def test_given_a_certificate_s_time(
    environment: dict[str, str], tmp_path: Path, begins: int, ends: int, verdict: str, words: str
) -> None:
    root = issued("root")
    leaf = issued("leaf", root, begins_in_days=begins, ends_in_days=ends)
    looked = await with_certificate(environment, tmp_path, [leaf, root], leaf)
    assert words in looked.said(verdict, "TLS certificate")


async def test_given_an_authority_that_ends_before_its_certificate(environment: dict[str, str], tmp_path: Path) -> None:
    root = issued("root", ends_in_days=-1, begins_in_days=-9)
    leaf = issued("leaf", root)
    looked = await with_certificate(environment, tmp_path, [leaf, root], leaf)
    assert "CN=root" in looked.said("fail", "TLS certificate")


async def test_given_files_that_others_can_read(environment: dict[str, str], tmp_path: Path) -> None:
    tokens, password = tmp_path / "tokens.json", tmp_path / "password"
    tokens.write_text(json.dumps([{"name": "ops", "sha256": "0" * 64, "permissions": ["settlement_network_read"]}]))
    password.write_text("hunter2hunter2")
    tokens.chmod(0o644)
    password.chmod(0o644)
    passwords = dict.fromkeys(("INGRESS_POSTGRES_PASSWORD_FILE", "INGRESS_KAFKA_SASL_PASSWORD_FILE"), str(password))
    files = {"INGRESS_OPERATOR_TOKENS_FILE": str(tokens)} | passwords
    looked = await look(**environment | files)
    assert f"{tokens} has mode 644" in looked.said("warn", "operators' tokens")
    assert "1: ops" in looked.said("ok", "operators' tokens")
    for check in ("postgres password", "kafka password"):
        assert f"{password} has mode 644" in looked.said("warn", check)
    tokens.chmod(0o640)
    assert "" == (await look(**environment | files)).said("warn", "operators' tokens")


async def test_given_files_that_are_missing_or_wrong(environment: dict[str, str], tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("hunter2")
    missing = tmp_path / "missing"
    looked = await look(
        **environment
        | {
            "INGRESS_BITGO_PUBLIC_KEY_FILES": str(wrong),
            "INGRESS_OPERATOR_TOKENS_FILE": str(wrong),
            "INGRESS_CONNECTION_TOKEN_KEY_FILES": str(wrong),
            "INGRESS_POSTGRES_PASSWORD_FILE": str(missing),
            "INGRESS_KAFKA_SSL_CA_FILE": str(wrong),
        }
    )
    expected = {"BitGo's keys", "operators' tokens", "connection token keys", "postgres password", "kafka authorities"}
    assert expected <= looked.failing


async def test_given_what_is_for_development(environment: dict[str, str]) -> None:
    looked = await look(
        **environment
        | {
            "INGRESS_ALLOW_PLAINTEXT": "true",
            "INGRESS_REQUIRE_JTI": "false",
            "INGRESS_POSTGRES_URI": "postgresql://typed-wrong",
        }
    )
    said = looked.said("warn", "settings")
    for words in (
        "INGRESS_ALLOW_PLAINTEXT",
        "INGRESS_REQUIRE_JTI is false",
        "INGRESS_POSTGRES_URI is no setting",
        "INGRESS_DRAIN_SECONDS is 0",
        "METRICS_PORT is 0",
        "no PROCESSOR_… is set",
    ):
        assert words in said


async def test_given_settings_that_can_not_be_read(environment: dict[str, str]) -> None:
    del environment["INGRESS_ENTERPRISE_ID"]
    looked = await look(**environment | {"INGRESS_POSTGRES_URL": "mysql://u:hunter2hunter2@h/d"})
    said = looked.said("fail", "settings")
    assert 1 == looked.status
    assert "INGRESS_ENTERPRISE_ID: Field required" in said
    assert "INGRESS_POSTGRES_URL: must be postgresql://" in said


async def test_given_no_setting_or_json_without_production_then_it_is_a_wrong_usage() -> None:
    ran = await run("doctor", "--production")
    assert (2, "") == (ran.status, ran.out)
    assert "there is no setting" in ran.err
    assert 2 == (await run("doctor", "--json")).status
