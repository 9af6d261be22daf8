"""Lists as parameters: what goes in as a list stands in Postgres as the same array."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.postgres import connect
from service.settings import ServiceSettings

INTEGERS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@settings(
    max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)  # each example is a query with many arrays
@given(st.data())
async def test_what_goes_in_comes_out(database_url: str, data: st.DataObject) -> None:
    async with await connect(ServiceSettings(postgres_url=database_url), "arrays") as connection:
        for kind, items in [
            ("bigint", INTEGERS),
            ("text", TEXTS | st.sampled_from(['"', "\\", "{", "}", ",", "NULL", "null", '\\"', "", " "])),
            ("bytea", st.binary(max_size=20)),
            ("float8", st.floats(0, 1e12)),
        ]:
            given_items: list[Any] = data.draw(st.lists(items | st.none(), max_size=6), label=kind)
            cursor = await connection.execute(f"SELECT %s::{kind}[]", (given_items,))
            assert await cursor.fetchone() == (given_items,)


@pytest.mark.parametrize("kind", ["uuid", "text"])
async def test_without_elements(database_url: str, kind: str) -> None:
    async with await connect(ServiceSettings(postgres_url=database_url), "arrays") as connection:
        cursor = await connection.execute(f"SELECT %s::{kind}[]", ([],))
        assert await cursor.fetchone() == ([],)
