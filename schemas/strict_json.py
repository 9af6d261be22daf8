"""JSON as the contract reads it: no repeated keys, no NaN, and numbers kept as the digits that were sent."""

import json
from dataclasses import dataclass
from typing import Any, Final, NoReturn


@dataclass(frozen=True, slots=True)
class NumberLiteral:
    """A JSON number as it was written. Not a float: money is never one (decision 6)."""

    text: str


class NotJsonError(ValueError):
    """The bytes are not a JSON document that this service reads."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise NotJsonError("an object has a repeated key")
    return document


def _constant(name: str) -> NoReturn:
    raise NotJsonError(f"{name} is not a JSON number")


_DECODER: Final = json.JSONDecoder(
    parse_int=NumberLiteral, parse_float=NumberLiteral, parse_constant=_constant, object_pairs_hook=_object
)


def loads(raw: bytes) -> Any:
    """Read UTF-8 JSON; every number comes out as a NumberLiteral.

    Raises NotJsonError, whatever the bytes are.
    """
    try:
        return _DECODER.decode(raw.decode("utf-8"))
    except NotJsonError:
        raise
    except (ValueError, RecursionError) as error:
        raise NotJsonError("the body is not JSON") from error
