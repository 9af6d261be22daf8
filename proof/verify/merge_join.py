"""Merge join of two sequences sorted by the same key."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeVar

K = TypeVar("K", bound=Any)
L = TypeVar("L")
R = TypeVar("R")


async def aligned(
    left: Iterator[tuple[K, L]], right: AsyncIterator[tuple[K, R]]
) -> AsyncIterator[tuple[K, L | None, R | None]]:
    """Every key of either side, once; None where a side does not have it."""
    one, other = next(left, None), await anext(right, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one[0] < other[0]):
            assert one is not None  # noqa: S101
            yield one[0], one[1], None
            one = next(left, None)
        elif one is None or other[0] < one[0]:
            yield other[0], None, other[1]
            other = await anext(right, None)
        else:
            yield one[0], one[1], other[1]
            one, other = next(left, None), await anext(right, None)
