"""Differences as sentences: where, of what, what was found and what was expected."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from replay.printable import printable
from schemas.words import Kind, Subject

VALUE_MAX_BYTES: Final = 200
_MISSING: Final = object()
LINE_MAX_BYTES: Final = 4000


@dataclass(frozen=True, slots=True)
class Difference:
    """`table` may also be `chain`, `heads` or the name of a topic; `of`: what it is about, as `subject` names it."""

    table: str
    key: str
    words: str
    of: str | None = None

    def __str__(self) -> str:
        of = f" ({self.of})" if self.of else ""
        line = f"{self.table} {self.key}{of}: {self.words}"
        return printable(line.encode("utf-8", "backslashreplace"), LINE_MAX_BYTES)


def subject(kind: str | None, subject_id: str | None) -> str | None:
    """`connection 1234…`, and of a deallocation as of an allocation: they share their ids."""
    if subject_id is None:
        return None
    return f"{kind if kind in set(Subject) else Kind.ALLOCATION} {subject_id}"


Report = Callable[[Difference], None]


def columns_differ(found: Mapping[str, Any], expected: Mapping[str, Any], source: str = "follows from the log") -> str:
    """Every column that differs, as a sentence; empty when none does."""
    return "; ".join(
        f"{name} is {_show(is_)}, and {_show(should)} {source}" for name, is_, should in _unequal(found, expected)
    )


def _unequal(found: Mapping[str, Any], expected: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Name, what is and what should be; the name of what is inside a document has its way there before it."""
    for name in {**expected, **found}:
        is_, should = found.get(name, _MISSING), expected.get(name, _MISSING)
        if isinstance(is_, dict) and isinstance(should, dict):
            yield from _unequal(is_, should, f"{prefix}{name}.")
        elif not is_same(is_, should):
            yield f"{prefix}{name}", *(("null", should) if (is_, should) == (None, _MISSING) else (is_, should))


def is_same(one: Any, other: Any) -> bool:
    """Equal as JSON is: for Python, `true` and 1.0 are 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_same(each, other[name]) for name, each in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    if isinstance(one, int | float) and isinstance(other, int | float) and type(one) is not type(other):
        return False
    return bool(one == other)


def _show(value: Any) -> str:
    if value is None or value is _MISSING:
        return "nothing"
    content = value if isinstance(value, bytes) else str(value).encode("utf-8", "backslashreplace")
    return printable(content, VALUE_MAX_BYTES)
