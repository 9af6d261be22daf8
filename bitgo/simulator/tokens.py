"""Bearer tokens of the partner at BitGo, with the two permissions that BitGo names (contract, section 7).

A file of tokens is a JSON list: `[{"name": …, "sha256": hex of the token's hash, "permissions": ["read", "write"]}]`.
"""

import hashlib
import hmac
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from service.errors import OperatorError


class Permission(StrEnum):
    READ = "read"
    WRITE = "write"


NAMES: Final = {Permission.READ: "Settlement Network - Read", Permission.WRITE: "Settlement Network - Write"}
"""As the guides spell them (seed 000)."""


class Token(BaseModel):
    """Only the hash of a token is kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] = Field(repr=False)
    permissions: frozenset[Permission]


_TOKENS: Final = TypeAdapter(list[Token])


def token(secret: str, permissions: Sequence[Permission] = tuple(Permission), name: str = "argument") -> Token:
    return Token(name=name, sha256=_sha256(secret), permissions=frozenset(permissions))


def load_tokens(file: Path) -> list[Token]:
    """Raises OperatorError when the file is no list of tokens. What stands in it is never repeated."""
    try:
        return _TOKENS.validate_json(file.read_bytes())
    except OSError as error:
        raise OperatorError(f"{file} can not be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise OperatorError(f"{file} is no list of tokens: {where} {first['msg']}") from None


def find_token(tokens: Sequence[Token], authorization: str | None) -> Token | None:
    """The token that an Authorization header bears. Every known one is compared, in constant time."""
    scheme, _, secret = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        return None
    digest = _sha256(secret.strip())
    found = [each for each in tokens if hmac.compare_digest(each.sha256, digest)]
    return found[0] if found else None


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
