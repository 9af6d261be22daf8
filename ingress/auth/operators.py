"""Operators' bearer tokens, with the permissions that BitGo names (contract, section 4). Only hashes are kept."""

import hashlib
import hmac
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, StringConstraints, TypeAdapter, ValidationError

from schemas.fields import NonEmptyText
from service.errors import OperatorError


class Permission(StrEnum):
    READ = "settlement_network_read"
    WRITE = "settlement_network_write"


class OperatorToken(BaseModel):
    name: NonEmptyText
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    permissions: frozenset[Permission]


def load_operator_tokens(file: Path | None) -> list[OperatorToken]:
    """The tokens of a file; none without one. Raises OperatorError when the file is no list of tokens.

    Errors never repeat the file's content: it may hold a token where a hash belongs.
    """
    if file is None:
        return []
    try:
        return TypeAdapter(list[OperatorToken]).validate_json(file.read_bytes())
    except OSError as error:
        raise OperatorError(f"{file} can not be read: {error.strerror}") from None
    except ValidationError as error:
        raise OperatorError(f"{file} is no list of operator tokens: {_faults(error)}") from None


def _faults(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[:3]
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}".removeprefix(": ") for each in first)


def find_operator(tokens: list[OperatorToken], authorization: str | None) -> OperatorToken | None:
    """The operator of an Authorization header. Compares all known tokens, in constant time."""
    scheme, _, secret = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not secret:
        return None
    digest = hashlib.sha256(secret.strip().encode("utf-8", "surrogateescape")).hexdigest()
    found = [token for token in tokens if hmac.compare_digest(token.sha256, digest)]
    return found[0] if found else None
