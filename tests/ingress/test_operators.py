"""Operators' tokens from their file, and who a bearer is (contract, section 4)."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from ingress.auth.operators import OperatorToken, Permission, find_operator, load_operator_tokens
from service.errors import OperatorError

SECRET = "hunter2hunter2"


def entry(secret: str, **changes: Any) -> dict[str, Any]:
    digest = hashlib.sha256(secret.encode()).hexdigest()
    return {"name": secret, "sha256": digest, "permissions": ["settlement_network_read"]} | changes


@pytest.fixture
def tokens() -> list[OperatorToken]:
    return [OperatorToken.model_validate(entry(name)) for name in ("first", "second")]


@pytest.mark.parametrize("header", ["Bearer second", "bearer second", "BEARER  second ", "Bearer second\t"])
def test_given_a_known_bearer_then_it_is_found(tokens: list[OperatorToken], header: str) -> None:
    assert tokens[1] == find_operator(tokens, header)


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "second", "Basic second", "Bearer third", "Bearer é", "Bearer \udcff"]
)
def test_given_anybody_else_then_nobody_is_found(tokens: list[OperatorToken], header: str | None) -> None:
    assert find_operator(tokens, header) is None


def test_given_a_hash_as_the_bearer_then_nobody_is_found(tokens: list[OperatorToken]) -> None:
    assert find_operator(tokens, f"Bearer {tokens[0].sha256}") is None


def test_given_a_file_then_its_tokens_are_known(tmp_path: Path) -> None:
    file = tmp_path / "operators.json"
    file.write_text(json.dumps([entry("a"), entry("b", permissions=[])]))
    assert [{Permission.READ}, set()] == [each.permissions for each in load_operator_tokens(file)]
    assert [] == load_operator_tokens(None)


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "{}", "null", f'"{SECRET}"', f'["{SECRET}"]'),
        json.dumps([entry("a", sha256=SECRET)]),
        json.dumps([entry("a", sha256="A" * 64)]),
        json.dumps([entry("a", permissions=[SECRET])]),
        json.dumps([{"name": SECRET}]),
    ],
)
def test_given_another_content_then_it_is_refused_and_not_repeated(tmp_path: Path, content: str) -> None:
    file = tmp_path / "operators.json"
    file.write_text(content)
    with pytest.raises(OperatorError, match="is no list of operator tokens") as caught:
        load_operator_tokens(file)
    assert SECRET not in str(caught.value)


def test_given_no_file_then_it_says_which(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"nowhere\.json can not be read: No such file"):
        load_operator_tokens(tmp_path / "nowhere.json")
