"""Nothing secret is said, wherever it was put by mistake."""

import json
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr, ValidationError

from cli.serve import read_settings
from ingress.auth.operators import load_operator_tokens
from ingress.settings import IngressSettings
from service.errors import OperatorError
from service.migrations import migrate
from service.settings import ServiceSettings

SECRET = "hunter2hunter2"
MALFORMED = {
    "a space": f"postgresql://user:{SECRET} more@host:5432/database",
    "another scheme": f"postgresql+asyncpg://user:{SECRET}@host/database",
    "another scheme and a query": f"mysql://user:{SECRET}@host/database?a=b",
    "an open bracket": f"postgresql://user:{SECRET}@[::1/database",
    "brackets in the password": f"postgresql://user:[{SECRET}]@host/database",
    "an @ in the password": f"postgresql://user:p@{SECRET}@host/database",
    "a / in the password": f"postgresql://user:p/{SECRET}@host/database",
    "a / and digits": f"postgresql://user:12/{SECRET}@host/database",
    "a # in the password": f"postgresql://user:{SECRET}#x@host/database",
    "a ? in the password": f"postgresql://user:p?{SECRET}=1@host/database",
    "a bare %": f"postgresql://user:{SECRET}%@host/database",
    "a password for a port": f"postgresql://host:{SECRET}/database",
    "keywords, password with a space": f"host=h user=u password=my {SECRET} dbname=d",
    "keywords, an unknown one": f"host=h user=u pasword={SECRET}",
    "keywords, a password for a port": f"host=h port={SECRET}",
    "a quote": f"host=h password='{SECRET}",
    "no address": SECRET,
}
WELL_FORMED = [
    "postgresql://",
    "postgresql:///database?host=/var/run/postgresql",
    "postgres://user:p%40ss%2Fw%20ord@db.example.com:5432/database?sslmode=require",
    "postgresql://user@[::1]:5432/database",
    "postgresql://user:a~b!c$d&e'f(g)h*i+j,k;l=m@one:5432,two:5433/database?target_session_attrs=read-write",
    f"host=h port=5432 user=u password='{SECRET} more' dbname=d",
]


def said(error: BaseException | None) -> str:
    """An error as any log may show it, with those behind it."""
    return "" if error is None else f"{error} {error!r}{said(error.__cause__)}{said(error.__context__)}"


@pytest.mark.parametrize("address", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_address_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(ValidationError, match="must be postgresql://") as refused:
        ServiceSettings(postgres_url=SecretStr(address))
    assert SECRET not in said(refused.value)
    with pytest.raises(OperatorError, match="must be postgresql://") as not_migrated:
        migrate(address)
    assert SECRET not in str(not_migrated.value)


@pytest.mark.parametrize("address", WELL_FORMED)
def test_a_good_address_is_taken_as_it_is(address: str) -> None:
    settings = ServiceSettings(postgres_url=SecretStr(address))
    assert address == settings.postgres_url.get_secret_value()
    assert conninfo_to_dict(address) is not None
    assert SECRET not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [("METRICS_PORT", "many"), ("LOG_LEVEL", "loud"), ("TOPIC_PREFIX", "a b"), ("TLS_KEY_FILE", "key.pem")],
)
def test_an_error_of_another_setting_says_no_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    """Where a field is missing or a rule of the whole is broken, what was given is all of it."""
    given = {
        "KAFKA_SASL_PASSWORD": SECRET,
        "POSTGRES_URL": f"postgresql://user:{SECRET}@host/database",
        "ENTERPRISE_ID": "e",
        "BITGO_PUBLIC_KEY_FILES": "bitgo.pem",
    }
    for each, words in (given | {name: value}).items():
        monkeypatch.setenv(f"INGRESS_{each}", words)
    with pytest.raises(ValidationError) as refused:
        IngressSettings()  # type: ignore[call-arg]
    assert SECRET not in said(refused.value)
    with pytest.raises(SystemExit):
        read_settings(IngressSettings)
    printed = capsys.readouterr()
    assert printed.err
    assert SECRET not in printed.out + printed.err


def test_a_missing_setting_says_nothing_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGRESS_KAFKA_SASL_PASSWORD", SECRET)
    monkeypatch.setenv("INGRESS_POSTGRES_URL", f"postgresql://user:{SECRET}@host/database")
    with pytest.raises(ValidationError, match="enterprise_id") as refused:
        IngressSettings()  # type: ignore[call-arg]
    assert SECRET not in said(refused.value)


@pytest.mark.parametrize(
    "content",
    [
        [{"name": "a", "sha256": SECRET, "permissions": ["settlement_network_read"]}],
        [{"name": "a", "sha256": "0" * 64, "permissions": [SECRET]}],
        [{"name": "a", "token": SECRET, "permissions": []}],
        [{"name": [SECRET], "sha256": "0" * 64, "permissions": []}],
        {"token": SECRET},
        SECRET,
    ],
)
def test_an_operators_token_in_the_wrong_place_is_not_repeated(tmp_path: Path, content: Any) -> None:
    file = tmp_path / "operators.json"
    for text in (json.dumps(content), json.dumps(content)[:-1]):
        file.write_text(text)
        with pytest.raises(OperatorError, match="is no list of operator tokens") as refused:
            load_operator_tokens(file)
        assert SECRET not in str(refused.value)
