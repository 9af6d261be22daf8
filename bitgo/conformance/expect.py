"""What an answer must be, in words and as a test."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from bitgo.conformance.wire import Answer
from schemas.strict_json import NumberLiteral


@dataclass(frozen=True)
class Expected:
    words: str
    miss: Callable[[Answer], str | None]
    """What is wrong with an answer; None when nothing is."""

    def __and__(self, other: "Expected") -> "Expected":
        return Expected(f"{self.words}, {other.words}", lambda answer: self.miss(answer) or other.miss(answer))


def status(*codes: int) -> Expected:
    words = " or ".join(map(str, dict.fromkeys(codes)))
    return Expected(words, lambda answer: None if answer.status in codes else f"the status is {answer.status}")


def word(*statuses: str) -> Expected:
    """The member `status` of the answer."""

    def miss(answer: Answer) -> str | None:
        found = answer.field("status")
        return None if found in statuses else f'"status" is {shown(found)}'

    return Expected(f'"status": {" or ".join(f"{each}" for each in statuses)}', miss)


def ok(*statuses: str) -> Expected:
    return status(200) & word(*statuses)


def member(*path: str, equals: Any) -> Expected:
    """Numbers are compared by value and by form: a number is not a string."""
    name = ".".join(path)

    def miss(answer: Answer) -> str | None:
        found = answer.field(*path)
        return None if same(found, equals) else f'"{name}" is {shown(found)}'

    return Expected(f'"{name}": {shown(equals)}', miss)


def absent(name: str) -> Expected:
    def miss(answer: Answer) -> str | None:
        there = isinstance(answer.document, dict) and name in answer.document
        return f'"{name}" is there: {shown(answer.field(name))}' if there else None

    return Expected(f'no "{name}"', miss)


def text_member(*path: str) -> Expected:
    name = ".".join(path)

    def miss(answer: Answer) -> str | None:
        found = answer.field(*path)
        return None if isinstance(found, str) and found else f'"{name}" is {shown(found)}'

    return Expected(f'"{name}": a text that is not empty', miss)


def content_type(name: str) -> Expected:
    def miss(answer: Answer) -> str | None:
        return None if answer.content_type == name else f"the content type is {answer.content_type or 'missing'}"

    return Expected(f"content type {name}", miss)


def that(words: str, holds: Callable[[Answer], bool]) -> Expected:
    return Expected(words, lambda answer: None if holds(answer) else f"this does not hold: {words}")


def same(found: Any, expected: Any) -> bool:
    if isinstance(found, NumberLiteral) and isinstance(expected, int) and not isinstance(expected, bool):
        try:
            return Decimal(found.text) == expected
        except InvalidOperation:
            return False
    return type(found) is type(expected) and bool(found == expected)


def shown(value: Any) -> str:
    if isinstance(value, NumberLiteral):
        return value.text
    return "missing or null" if value is None else repr(value)


ANYTHING: Final = Expected("any answer", lambda _: None)
RESERVED: Final = ok("reserved")
CLEARED: Final = ok("cleared")
RELEASED: Final = ok("released")
UNAUTHORIZED: Final = status(401)
NOT_FOUND: Final = status(404)
CONFLICT: Final = status(409)
BAD_REQUEST: Final = status(400)
REFUSED: Final = Expected(
    "4xx",
    lambda answer: None if answer.status // 100 == 4 else f"the status is {answer.status}",  # noqa: PLR2004
)
